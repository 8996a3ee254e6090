"""Where a site goes: whole or not at all, and nothing is deleted that no site of ours brought."""

from __future__ import annotations

import errno
import importlib.util

import pytest

from lora_lessons.errors import in_words
from workshop.site import build


def write_site(out, **files):
    with build.site_folder(out) as folder:
        for name, text in files.items():
            (folder / "deep").mkdir(exist_ok=True)
            (folder / "deep" / f"{name}.html").write_text(text)


def pages(out):
    return {path.stem: path.read_text() for path in out.rglob("*.html")}


def test_a_site_of_ours_is_replaced_and_its_old_pages_are_gone(tmp_path):
    write_site(tmp_path / "new" / "site", first="1", second="1")
    (tmp_path / "new" / "site" / "deep" / ".DS_Store").write_text("what a file manager leaves")
    write_site(tmp_path / "new" / "site", second="2")
    assert pages(tmp_path) == {"second": "2"}
    assert (tmp_path / "new" / "site" / build.MARKER).read_text() == "deep/second.html\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["site"], "nothing temporary is left"


def test_an_empty_folder_and_one_behind_a_link_may_become_a_site(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_site(tmp_path / "link", page="1")
    write_site(tmp_path / "link", page="2")
    assert (tmp_path / "link").is_symlink() and pages(tmp_path / "real") == {"page": "2"}


@pytest.mark.parametrize("marker", [None, b"", b"\xff\xfe", b"deep/page.html\n"])
def test_a_folder_with_files_of_somebody_else_is_refused_and_stays(tmp_path, marker):
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "notes.txt").write_text("mine")
    (out / "todo.txt").write_text("mine")
    if marker is not None:
        (out / build.MARKER).write_bytes(marker)
    with pytest.raises(FileExistsError, match="choose another folder, or move what is there") as refused:
        write_site(out, page="1")
    assert "deep/notes.txt and 1 more, which no site of ours brought" in in_words(refused.value)
    assert (out / "deep" / "notes.txt").read_text() == (out / "todo.txt").read_text() == "mine" and not pages(out)


def test_a_file_put_there_while_the_site_was_built_is_not_lost(tmp_path):
    write_site(tmp_path / "site", page="1")
    with pytest.raises(FileExistsError, match="notes.txt"), build.site_folder(tmp_path / "site") as folder:
        (folder / "page.html").write_text("2")
        (tmp_path / "site" / "notes.txt").write_text("mine")
    assert pages(tmp_path / "site") == {"page": "1"} and (tmp_path / "site" / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "site"):
        with pytest.raises(NotADirectoryError, match="is a file, and a folder"):
            build.check_place(out)


@pytest.mark.parametrize("error", [RuntimeError("Sphinx stopped"), KeyboardInterrupt()])
def test_a_site_that_is_not_finished_leaves_the_old_one(tmp_path, error):
    write_site(tmp_path / "site", page="1")
    with pytest.raises(type(error)), build.site_folder(tmp_path / "site") as folder:
        (folder / "page.html").write_text("2")
        raise error
    assert pages(tmp_path) == {"page": "1"} and [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_full_disk_is_said_whatever_a_library_made_of_it(tmp_path):
    with pytest.raises(OSError) as full, build.site_folder(tmp_path / "site"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("Handler for event 'build-finished' threw an exception") from error
    assert in_words(full.value).startswith(f"the disk is full: {tmp_path / 'site'} could not be written.")
    assert not (tmp_path / "site").exists()


def test_without_the_extra_one_sentence_says_how_to_get_it(monkeypatch):
    build.check_extra()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("sphinx", "furo") else 1)
    with pytest.raises(
        ValueError, match=r"need sphinx and furo, not installed here: pip install 'lora-lessons\[site\]'\."
    ):
        build.check_extra()
