"""Where things lie when the system knows no home for this user, as in a container that runs as a bare number."""

import os
from unittest.mock import Mock

import pytest

from lora_lessons import paths
from lora_lessons.course import learner
from lora_tools import cli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no users without a home")


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """No HOME, and no entry for this user; the temporary folder is the test's own."""
    import pwd

    for name in ("HOME", "LORA_LESSONS_CACHE", "LORA_LESSONS_PROGRESS", "XDG_CACHE_HOME", "XDG_DATA_HOME", "USER"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile goes again
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", Mock(side_effect=KeyError("getpwuid(): uid not found")))
    monkeypatch.setattr(paths.tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / f"lora-lessons-{os.getuid()}"


@pytest.mark.parametrize("ask", [paths.cache_dir, learner.progress_file, lambda: cli.main(["--version"])])
def test_without_a_home_everything_goes_to_a_temporary_folder_and_that_is_said_once(ask, homeless, capsys):
    ask()
    said = capsys.readouterr().err
    assert f"This user has no home folder, so the cache and your progress go to {homeless}" in said
    assert said.count("\n") == 1
    assert paths.cache_dir().is_relative_to(homeless) and learner.progress_file().is_relative_to(homeless)
    assert os.path.expanduser("~") == str(homeless) and homeless.stat().st_mode & 0o777 == 0o700
    assert capsys.readouterr().err == "" and not (homeless.parent / "~").exists()


def test_an_empty_home_is_none(homeless, monkeypatch, capsys):
    monkeypatch.setenv("HOME", "")
    assert paths.cache_dir().is_relative_to(homeless) and "no home folder" in capsys.readouterr().err


def test_a_folder_that_others_can_write_to_is_not_taken_for_a_home(homeless):
    homeless.mkdir()
    homeless.chmod(0o777)
    paths.ensure_home()
    assert os.environ["HOME"] != str(homeless) and os.stat(os.environ["HOME"]).st_mode & 0o077 == 0


def test_a_home_that_is_known_stays(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths.ensure_home()
    assert os.environ["HOME"] == str(tmp_path) and capsys.readouterr().err == ""


def test_a_digest_of_no_files_is_refused():
    """Installed without its sources, the package could not tell what it worked out before from what is out of date."""
    assert {file.name for file in paths.sources(["lora.py", "fast/*.py"])} > {"lora.py", "rows.py"}
    with pytest.raises(FileNotFoundError, match="has no file fats/.*: install lora-lessons again, with its sources"):
        paths.sources(["lora.py", "fats/*.py"])
