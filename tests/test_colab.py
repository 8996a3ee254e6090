"""Colab: one address everywhere, and the set-up cell in an environment of its own, from an upload and from a clone."""

import json
import os
import shutil
import subprocess
import sys
import types
import zipfile

import nbformat
import pytest

from lora_lessons import colab
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.paths import course_root
from lora_lessons.run import lab
from workshop import badges


def set_up_cell():
    cells = nbformat.read(lessons()[0], 4).cells
    return next(c.source for c in cells if "setup" in c.metadata.get("tags", []))


# ---- the address ----


ELSEWHERE = "https://github.com/someone-else/their.fork"


def test_every_badge_and_set_up_cell_follows_the_address_of_pyproject(tmp_path, monkeypatch):
    for name in ("pyproject.toml", "README.md", "notebooks"):
        source = course_root() / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(tmp_path))
    before, old = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}, badges.address()
    assert badges.set_address(old) == []
    changed = badges.set_address(ELSEWHERE)
    assert {*lessons(), *side_trips(), tmp_path / "README.md", tmp_path / "pyproject.toml"} == set(changed)
    assert badges.address() == ELSEWHERE
    for path in changed:
        text = path.read_text(encoding="utf-8")
        assert "someone-else/their.fork" in text and badges.owner_and_name(old) not in text
        if path.suffix == ".ipynb":
            assert f"/github/someone-else/their.fork/blob/main/notebooks/{lab.place(path)}" in text
    badges.set_address(old)
    assert {p: p.read_bytes() for p in before} == before


# ---- the set-up cell ----


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A new virtual environment as Colab is one: IPython is there, numpy in a version of its own, tqdm too old."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "ipython",
        "packaging",
        "tqdm==4.60.0",
    ]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"THE SET-UP CELL WAS NOT TRIED: pip cannot install here ({done.stderr.strip().splitlines()[-1:]})")
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    )
    numpy = folder / site.stdout.strip() / "numpy-1.0.dist-info"
    numpy.mkdir()
    (numpy / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n")
    return python


@pytest.fixture
def course(tmp_path):
    """A small course: the real package and set-up, but few dependencies."""
    root = tmp_path / "lora-lessons-main"
    shutil.copytree(course_root() / "lora_lessons", root / "lora_lessons", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "notebooks").mkdir()
    (root / "notebooks" / "keep").touch()
    shutil.copy(course_root() / "constraints.txt", root)
    needs = ["numpy>=2.0", "tqdm>=4.66", "platformdirs>=4.2"]
    (root / "pyproject.toml").write_text(f"[project]\ndependencies = {json.dumps(needs)}\n")
    return root


def run_cell(python, folder, environment=None, stops=False):
    """The set-up cell, run in `folder`, then what it made of the environment."""
    look = (
        "\nfrom importlib.metadata import version\nimport lora_lessons.files\nprint([version(n) for n in ('numpy', "
        "'tqdm', 'platformdirs')])"
    )
    (folder / "cell.ipy").write_text(set_up_cell() + look, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (environment or {})
    done = subprocess.run([python, "-m", "IPython", "cell.ipy"], cwd=folder, capture_output=True, text=True, env=clean)
    assert done.returncode == 0 or stops, done.stdout + done.stderr
    return done.stdout + done.stderr * stops


def test_an_uploaded_zip_is_unpacked_and_installs_what_lacks_at_the_proven_version(fresh, course, tmp_path):
    place = tmp_path / "content"
    place.mkdir()
    with zipfile.ZipFile(place / "lora-lessons-main.zip", "w") as archive:
        for path in course.rglob("*"):
            archive.write(path, path.relative_to(course.parent))
    first = run_cell(fresh, place, stops=True)
    assert "tqdm had to be replaced: choose Runtime, then Restart session" in first
    assert "['1.0'" not in first and "Traceback" not in first, "Run All stops here, with a sentence"
    said = run_cell(fresh, place)
    pins = dict(line.split("==") for line in (course / "constraints.txt").read_text().split())
    assert "Everything the course needs is here." in said and "Installing" not in said
    assert f"['1.0', '{pins['tqdm']}', '{pins['platformdirs']}']" in said, "numpy stays as it is"


def test_without_an_upload_the_repository_is_cloned(fresh, course, tmp_path):
    place = tmp_path / "content"
    place.mkdir()
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "all"],
    ):
        subprocess.run(["git", *command], cwd=course, check=True)
    here = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{course.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": badges.address(),
    }
    run_cell(fresh, place, here)
    assert (place / "lora-lessons" / "lora_lessons" / "lora.py").is_file()


def session(monkeypatch, tmp_path, needs, pip=0):
    """Colab's set-up as this process runs it, in a course that needs `needs`; nothing is installed."""
    root = tmp_path / "course"
    (root / "lora_lessons").mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(f"[project]\ndependencies = {json.dumps(needs)}\n")
    (root / "constraints.txt").write_text("")
    monkeypatch.setattr(colab, "__file__", str(root / "lora_lessons" / "colab.py"))
    done = subprocess.CompletedProcess([], pip, stdout="pip's own words\n" if pip else "")
    monkeypatch.setattr(colab.subprocess, "run", lambda *_, **__: done)


def test_the_same_session_is_stopped_again_and_a_new_one_goes_on(monkeypatch, tmp_path, capsys):
    session(monkeypatch, tmp_path, ["tqdm>=999"])
    for _ in range(2):  # running the cell again is no restart
        with pytest.raises(colab.RestartNeeded, match="tqdm had to be replaced: choose Runtime"):
            colab.main()
        session(monkeypatch, tmp_path, ["tqdm>=1"])
    monkeypatch.setattr(colab, "_session", lambda: [1, 1])
    colab.main()
    assert "Everything the course needs is here." in capsys.readouterr().out
    assert not (tmp_path / "course" / ".replaced.json").exists()
    assert colab.RestartNeeded("one sentence")._render_traceback_() == ["one sentence"]


def test_what_pip_says_is_shown_when_it_fails(monkeypatch, tmp_path, capsys):
    session(monkeypatch, tmp_path, ["no-such-package>=1"], pip=1)
    with pytest.raises(RuntimeError, match="pip could not install"):
        colab.main()
    assert "pip's own words" in capsys.readouterr().out


def test_colab_is_told_to_draw_our_widgets(monkeypatch, tmp_path):
    asked = []
    output = types.SimpleNamespace(enable_custom_widget_manager=lambda: asked.append(1))
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(output=output))
    session(monkeypatch, tmp_path, ["tqdm>=1"])
    colab.main()
    assert asked == [1]
