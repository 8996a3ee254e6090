"""A process that a test means to kill waits for it at a place, however late the test is: it cannot be done before."""

from pathlib import Path

import pytest

# Python reads a module of this name before all others.
SITECUSTOMIZE = """
import os, sys, time

left = TIMES

def hold(event, given):
    global left
    if event == "os.rename" and os.path.basename(os.fsdecode(given[1])) == "FILE":
        left -= 1
        while left < 0:
            time.sleep(0.1)

if os.environ.get("RANK", "0") == "0":
    sys.addaudithook(hold)
"""


def after(times: int, file: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Processes that are started from now on stop for good before they put a new `file` in its place once more.

    Of several ranks, the first one does.
    """
    told = SITECUSTOMIZE.replace("TIMES", str(times)).replace("FILE", file)
    (folder / "sitecustomize.py").write_text(told, encoding="utf-8")
    patch.syspath_prepend(folder)
