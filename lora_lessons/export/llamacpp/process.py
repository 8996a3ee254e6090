"""A process for llama.cpp: it gets one job as a line of JSON, and its last words become a sentence when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from ...errors import ModelError
from ...paths import package

WORKER = f"{__package__}.worker"


def python_path() -> str:
    """PYTHONPATH for a Python that is to find this very lora_lessons."""
    return os.pathsep.join(filter(None, (str(package().parent), os.environ.get("PYTHONPATH"))))


def start(job: Mapping[str, Any], chatter: IO[bytes]) -> subprocess.Popen[bytes]:
    """The worker, reading the job (and the server's token, which a command line would show) from its stdin."""
    command, environment = [sys.executable, "-m", WORKER], os.environ | {"PYTHONPATH": python_path()}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=chatter, env=environment)
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    return process


def finish(job: Mapping[str, Any], what: str, grows: Path | None = None) -> None:
    """Run the job to its end, under a bar that follows the file `grows` where there is one.

    Raises ModelError, which says that llama.cpp could not `what` and why.
    """
    from tqdm.auto import tqdm

    with (
        tempfile.TemporaryFile() as chatter,
        tqdm(unit="B", unit_scale=True, leave=False, disable=grows is None) as bar,
    ):
        bar.set_description(what)  # given as desc, a notebook would take it for HTML
        process = start(job, chatter)
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                if grows is not None and grows.exists():
                    bar.update(grows.stat().st_size - bar.n)
        finally:
            process.kill()
            process.communicate()
        if process.returncode:
            raise failure(what, process.returncode, chatter)


def failure(what: str, status: int, chatter: IO[bytes]) -> ModelError:
    """The error to raise when a process ended with `status` before it could `what`, with the telling lines it wrote."""
    chatter.seek(0)
    lines = [line.strip() for line in chatter.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fail" in line.lower() or "assert" in line.lower()]
    said = " / ".join((telling or lines or ["it said nothing"])[-3:])[:500]
    return ModelError(f"llama.cpp could not {what} (status {status}): {said}")


def check_files(paths: Sequence[Path | str]) -> None:
    """Raise FileNotFoundError or ModelError unless every one of `paths` is a GGUF."""
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: export it first (lora_lessons.export.gguf).")
        with open(path, "rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is no GGUF: give a file that lora_lessons.export.gguf or llama.cpp wrote.")
