"""Where no Chromium can be had: said loudly."""

import os
import subprocess
import sys
from pathlib import Path

from .conftest import WITHOUT


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
        "copies",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {WITHOUT: "1"})
    assert ran.returncode == 0 and "passed" not in ran.stdout and "skipped" in ran.stdout
    assert (
        "! THE BROWSER TESTS DID NOT RUN !" in ran.stdout
        and "the widgets and JupyterLab are untested here" in ran.stdout
    )
