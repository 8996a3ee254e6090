"""What the system refuses is a sentence that names the path and says what to do."""

import errno
from unittest.mock import Mock

import pytest

from lora_lessons.errors import cache_advice, disk_is_full, in_words
from lora_lessons.run import doctor
from lora_tools import cli


@pytest.mark.parametrize(
    "error, sentence",
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b"),
            "the disk is full: /a/b could not be written. Make room",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/b"), "the disk is full: /a/b could not be written."),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full: a file could not be written."),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b is not yours to read or write"),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "(Read-only file system): choose another folder"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/a/b"), "/a/b is in the way (Not a directory)"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/a/b"), "there is no /a/b: check the path."),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "set TMPDIR to a folder"),
        (FileNotFoundError("no lesson is called 'x'."), "no lesson is called 'x'."),
    ],
)
def test_an_error_of_the_system_is_said_in_words_by_the_command(error, sentence, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", Mock(side_effect=error))
    assert cli.main(["doctor"]) == (cli.EXIT_FAILED if "disk is full" in sentence else cli.EXIT_USER)
    said = capsys.readouterr().err
    assert sentence in said and said.startswith("lora-lessons: ") and said.count("\n") == 1 and "[Errno" not in said
    assert in_words(error) in said


@pytest.mark.parametrize(
    "error, full",
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("Error while serializing: Disk quota exceeded (os error 122)"), True),
        (OSError("x.gguf takes 2.00 GB and 1.00 GB is free in /a: make room."), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("I/O error: Read-only file system (os error 30)"), False),
    ],
)
def test_only_a_full_disk_asks_for_room(error, full):
    assert disk_is_full(error) is full
    advice = cache_advice(error, "0.8 GB")
    assert ("free 0.8 GB there" in advice) is full and "LORA_LESSONS_CACHE" in advice
