"""A worker at work: a program in a tool's own environment, its progress shown, its answer read or its last words raised."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ...files import scratch
from ...machine import kernel_environment
from ..llamacpp.process import python_path
from . import environments
from .catalogue import FORMATS

WORKERS = Path(__file__).parent / "workers"
STILL_AT_WORK = 20  # seconds between two lines that say how far a tool is


def work(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the worker of the format `name` on `job`, in its environment; show its progress, return its answer.

    Raises ModelError with the worker's last words when it ends without an answer.
    """
    form = FORMATS[name]
    if form.environment:
        program, environment = str(environments.python(form.environment)), environments.variables()
    else:
        program, environment = sys.executable, kernel_environment() | {"PYTHONPATH": python_path()}
    with scratch("formats") as place, open(place / "stderr", "w+b") as chatter:
        file, answer = place / "job.json", place / "answer.json"
        file.write_text(json.dumps(dict(job) | {"answer": str(answer)}), encoding="utf-8")
        command = [program, str(WORKERS / form.worker), str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=chatter, env=environment, cwd=place) as process:
            reader = threading.Thread(target=_relay, args=(name, process), daemon=True)
            reader.start()
            begun = time.monotonic()
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(STILL_AT_WORK)
                    if process.poll() is None:
                        environments.say(f"{name}: {_bar(Path(chatter.name))}{time.monotonic() - begun:.0f} s …")
            finally:
                process.kill()  # when the learner stops us; it has ended by itself otherwise
            reader.join()
        if process.returncode == 0 and answer.is_file():
            return json.loads(answer.read_text(encoding="utf-8"))
        chatter.seek(0)
        words = [one for one in chatter.read().decode(errors="replace").splitlines() if one.strip()] or ["no message"]
    how = "was killed, probably for the memory it took" if process.returncode in (-9, 137) else words[-1][:300]
    raise ModelError(f"{form.worker} could not {job.get('do', 'measure')} {name}: {how}")


def _relay(name: str, process: subprocess.Popen[bytes]) -> None:
    """Show the worker's own lines of progress; what its libraries print is left out."""
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith(b"progress: "):
            environments.say(f"{name}: {said.decode(errors='replace').partition(': ')[2].strip()} …")


def _bar(chatter: Path) -> str:
    """How far the last progress bar in the tool's own output has come, in words; empty where there is none."""
    tail = chatter.read_bytes()[-4000:].decode(errors="replace")
    bars = re.findall(r"([^\r\n|]*\d+%)\|", tail)
    return f"{bars[-1].strip()}, " if bars else ""
