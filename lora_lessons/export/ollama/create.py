"""`ollama create`, run for real on a machine that has it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from shlex import quote
from typing import NamedTuple


class Created(NamedTuple):
    """Whether `ollama create` made the model, and what to tell the learner."""

    ok: bool
    says: str


def try_create(folder: Path | str, name: str, file: str = "Modelfile") -> Created:
    """Run `ollama create NAME -f Modelfile` in `folder`, for real. Raises FileNotFoundError where there is no ollama."""
    program = shutil.which("ollama")
    if program is None:
        raise FileNotFoundError(
            f"no ollama on this machine: install it from ollama.com, then: ollama create {quote(name)} -f {quote(file)}"
        )
    done = subprocess.run(
        [program, "create", name, "-f", file],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).replace("\r", "\n")
    last = next((line.strip() for line in reversed(plain.splitlines()) if line.strip()), "nothing")
    if done.returncode == 0:
        return Created(True, f"Ollama made {name}. Talk to it: ollama run {quote(name)}")
    hint = ""
    if "adapter" in last.lower():
        hint = " Newer versions take no ADAPTER: use Modelfile, where it is folded in."
    elif "connect" in last.lower():
        hint = " Its server does not run: start `ollama serve` in another window."
    return Created(False, f"ollama create refused {file}: {last}.{hint}".replace("..", "."))
