"""Where no Chromium can be had: said loudly, and never waited for."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from .conftest import WITHOUT, run_bounded


def test_a_run_without_a_browser_says_so_in_capitals():
    tests = Path(__file__).with_name("test_in_browser.py")
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(tests),
        "-p",
        "no:cacheprovider",
        "-k",
        "copies or survive or stored",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {WITHOUT: "1"})
    assert ran.returncode == 0 and "passed" not in ran.stdout and "skipped" in ran.stdout
    assert (
        "! THE BROWSER TESTS DID NOT RUN !" in ran.stdout
        and "the widgets and JupyterLab are untested here" in ran.stdout
    )


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_getting_one_ends_when_its_time_is_up_and_leaves_nothing_running(tmp_path):
    said = tmp_path / "pid"
    grandchild = f"import os, time; open({str(said)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    run_bounded([sys.executable, "-c", child], seconds=10)
    number = int(said.read_text())
    deadline = time.monotonic() + 300  # a loaded machine takes a moment to end what was killed
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_command_that_is_not_there_is_no_error(capsys):
    run_bounded(["no-such-command-at-all"], seconds=1)
    assert "no-such-command-at-all" in capsys.readouterr().err
