"""Files and folders are written whole or not at all, and on the disk before they take their names."""

import errno
import os

import pytest
import torch
from safetensors.torch import save_file

from lora_lessons import files
from lora_lessons.paths import course_root


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    files.write_text(target, "new")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(target, "half a character: \ud800")
    assert target.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes, and links for few")
def test_no_pipe_and_no_link_is_replaced_by_a_file(tmp_path, monkeypatch):
    """root may write to /dev: a page must not become /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    for refuse in (files.check_file, lambda pipe: files.write_text(pipe, "new")):
        with pytest.raises(OSError, match="is a pipe or a device"):
            refuse(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to("file")
    for text in ("first", "second"):
        files.write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == text
    monkeypatch.setattr(os, "getuid", lambda: 12345)  # now it is somebody else's link
    files.write_text(tmp_path / "link", "mine")
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "second"


def test_a_folder_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "mine").write_text("precious")
    real, calls = os.replace, []

    def locked(source, destination):
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError("in use")
        real(source, destination)

    monkeypatch.setattr(files.os, "replace", locked)
    with pytest.raises(PermissionError), files.whole_folder(target) as temporary:
        (temporary / "new").write_text("new")
    assert (target / "mine").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


@pytest.mark.parametrize("leads_to", ["real", "nowhere"])
def test_a_link_gives_way_to_the_folder_and_what_it_leads_to_stays(tmp_path, leads_to):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "mine").write_text("precious")
    (tmp_path / "link").symlink_to(leads_to)
    with files.whole_folder(tmp_path / "link") as temporary:
        (temporary / "new").write_text("new")
    assert (tmp_path / "real" / "mine").read_text() == "precious" and not (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"], "nothing is left beside them"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_what_safetensors_writes_has_the_modes_of_any_other_file(tmp_path):
    """It puts a file of its own, which nobody else may read, in the place of the temporary one."""
    before = os.umask(0o027)
    try:
        with files.whole_file(tmp_path / "one.safetensors") as temporary:
            save_file({"x": torch.zeros(1)}, temporary)
        with files.whole_folder(tmp_path / "adapter") as folder:
            save_file({"x": torch.zeros(1)}, folder / "two.safetensors")
            (folder / "run.sh").write_text("true")
            (folder / "run.sh").chmod(0o700)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"one.safetensors": 0o640, "adapter": 0o750, "two.safetensors": 0o640, "run.sh": 0o740}


def test_a_course_that_is_not_there_says_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="set LORA_LESSONS_ROOT"):
        course_root()


def test_what_is_written_is_on_the_disk_before_it_takes_its_name_and_its_name_after(tmp_path, monkeypatch):
    """A power cut cannot be tried here, so the order of the calls is: sync each file, rename, sync the folder."""
    done, opened = [], {}
    real_open, real_sync, real_replace = os.open, os.fsync, os.replace

    def opening(path, *args, **kwargs):
        handle = real_open(path, *args, **kwargs)
        opened[handle] = str(path)
        return handle

    def told(what, path, real, *given):
        done.append(f"{what} {os.path.basename(path)}")
        real(*given)

    monkeypatch.setattr(files.os, "open", opening)
    monkeypatch.setattr(files.os, "fsync", lambda handle: told("sync", opened[handle], real_sync, handle))
    monkeypatch.setattr(files.os, "replace", lambda old, new: told("rename to", new, real_replace, old, new))
    folders = os.name != "nt"

    files.write_text(tmp_path / "a.txt", "text")
    first, *rest = done
    assert first.startswith("sync .a.txt.") and rest == ["rename to a.txt", f"sync {tmp_path.name}"][: 1 + folders]

    done.clear()
    with files.whole_folder(tmp_path / "adapter") as new:
        (new / "deep").mkdir()
        for name in ("config.json", "deep/weights"):
            (new / name).write_text("x")
    *before, renamed, after = done if folders else [*done, ""]
    assert renamed == "rename to adapter" and after in (f"sync {tmp_path.name}", "")
    assert {"sync config.json", "sync weights"} <= set(before)
    assert not folders or {"sync deep", f"sync {new.name}"} < set(before)


@pytest.mark.parametrize("number", sorted({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}))
@pytest.mark.parametrize("whole", [files.whole_file, files.whole_folder])
def test_a_full_disk_names_what_could_not_be_written(tmp_path, whole, number):
    for where in (None, "the temporary one"):
        with pytest.raises(OSError) as caught, whole(tmp_path / "mine") as temporary:
            raise OSError(number, os.strerror(number), where and str(temporary / "inside"))
        assert caught.value.errno == number and caught.value.filename == str(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_system_refuses_is_named(tmp_path, no_large_file):
    with pytest.raises(OSError) as caught:
        files.write_text(tmp_path / "mine.txt", "x" * 5000)
    assert caught.value.filename == str(tmp_path / "mine.txt") and list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_names_the_file_and_not_a_temporary_one(tmp_path, monkeypatch):
    def refused(*_, dir, prefix):
        raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x7w2")

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    with pytest.raises(PermissionError) as caught:
        files.write_text(tmp_path / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_other_errors_inside_are_left_as_they_are(tmp_path):
    def absent():
        (tmp_path / "absent").read_text()

    def in_words():
        raise OSError("it takes 9 GB and 1 GB is free")

    for what, said in ((absent, r"No such file.*absent'$"), (in_words, "^it takes 9 GB and 1 GB is free$")):
        with pytest.raises(OSError, match=said), files.whole_file(tmp_path / "a.txt"):
            what()


def test_what_is_set_aside_never_replaces_what_was_set_aside_before(tmp_path):
    for content in ("one", "two", "three"):
        (tmp_path / "a.json").write_text(content)
        files.set_aside(tmp_path / "a.json")
        if content == "one":
            (tmp_path / "a.json.damaged-1").rename(tmp_path / "a.json.damaged-2")
    assert [(tmp_path / f"a.json.damaged-{n}").read_text() for n in (1, 2, 3)] == ["two", "one", "three"]


def test_a_text_of_gigabytes_is_not_read(tmp_path):
    with open(tmp_path / "t.tmpl", "wb") as file:
        file.truncate(2**31)
    with pytest.raises(ValueError, match=r"t\.tmpl has 2\.1 GB"):
        files.read_text(tmp_path / "t.tmpl")
