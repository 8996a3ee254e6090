"""Where no Chromium can be had: said loudly, and never waited for."""

import os
import subprocess
import sys
import time
from pathlib import Path

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


def test_getting_one_ends_with_its_time_and_leaves_nothing_running(tmp_path):
    left = tmp_path / "left"
    grandchild = f"import time; time.sleep(4); open({str(left)!r}, 'w')"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    began = time.monotonic()
    run_bounded([sys.executable, "-c", child], seconds=1)
    assert time.monotonic() - began < 3
    time.sleep(max(0, began + 5 - time.monotonic()))
    assert os.name != "posix" or not left.exists()


def test_a_command_that_is_not_there_is_no_error(capsys):
    run_bounded(["no-such-command-at-all"], seconds=1)
    assert "no-such-command-at-all" in capsys.readouterr().err
