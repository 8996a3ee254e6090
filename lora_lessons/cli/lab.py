"""`lora-lessons lab`: the learner's own copies of the lessons, open in JupyterLab."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from .places import notebook_or_name


def lab(
    context: typer.Context,
    lesson: Annotated[
        str, typer.Argument(parser=notebook_or_name, metavar="LESSON", help="The lesson to open.")
    ] = "00",
) -> int:
    """Copy the lessons to my_lessons/ and open JupyterLab.

    What follows -- goes to JupyterLab: `-- --no-browser`, or `-- --ip 0.0.0.0` to reach it from another machine.
    """
    from ..machine import kernel_environment
    from ..run.lab import copy_lessons, jupyter_environment, place
    from ..run.runner import find_lessons

    folder, found = Path("my_lessons"), find_lessons([lesson])[0]
    for line in copy_lessons(folder):
        print(line, file=sys.stderr)
    options = [f"--ServerApp.root_dir={folder.resolve()}"]
    if not any(word.partition("=")[0] in ("--ip", "--ServerApp.ip") for word in context.obj):
        options.append("--ServerApp.ip=127.0.0.1")  # nobody else on the network; a token is asked for in any case
    command = [sys.executable, "-m", "jupyterlab", *options, f"--LabApp.default_url=/lab/tree/{place(found)}"]
    environment = kernel_environment() | jupyter_environment()
    with subprocess.Popen([*command, *context.obj], env=environment) as jupyter:
        # Ctrl-C is JupyterLab's: it asks, then stops its kernels. A request to end is passed on to it.
        before = (
            signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.signal(signal.SIGTERM, lambda *_: jupyter.terminate()),
        )
        try:
            return jupyter.wait()
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
