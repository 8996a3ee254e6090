"""pip, and what to say when it cannot reach its index: one sentence for `make`, a lesson,
an export and the doctor alike.

`make` runs this file with the Python of a virtual environment that is still empty: standard library only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

OFFLINE = "there is no network here: pip cannot reach the package index"

_SIGNS = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|ConnectionResetError"
    r"|Failed to establish a new connection|Max retries exceeded|Network is unreachable|No route to host"
    r"|name resolution|Name or service not known|nodename nor servname|getaddrinfo failed"
)


class Done(NamedTuple):
    """How a call of pip ended."""

    ok: bool
    # whether it failed because its index cannot be reached
    offline: bool
    # pip's own reason in one line
    reason: str
    # all that it printed
    said: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Done:
    """Run `command`, such as "PYTHON -m pip …", to its end. Nothing is shown meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        # Says why a page could not be had, which pip keeps quiet about; the pip that it starts to build a package, too.
        log = Path(folder) / "pip.log"
        named = dict(os.environ if environment is None else environment) | {
            "PIP_LOG": str(log),
            "PIP_PROGRESS_BAR": "off",
            "PIP_NO_COLOR": "1",  # Jupyter asks for colours, whose codes would stand before and after pip's reason
        }
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=named)
        told = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    output = done.stderr + done.stdout
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it says nothing"]
    reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])[:200]
    ok = done.returncode == 0
    return Done(ok, not ok and bool(_SIGNS.search(output + told)), reason, output)


def index_answers() -> bool:
    """Whether pip's index can be reached, whichever one it is set to: asked once, for three seconds."""
    asked = ["index", "versions", "pip", "--retries", "0", "--timeout", "3", "--disable-pip-version-check"]
    return not run([sys.executable, "-m", "pip", *asked]).offline


def main(words: Sequence[str]) -> int:
    """`make`'s set-up: pip with `words`, and one sentence when there is no network."""
    done = run([sys.executable, "-m", "pip", *words])
    if done.offline:
        again = os.environ.get("MAKE_GOAL", "").strip()
        print(
            f"{OFFLINE[0].upper()}{OFFLINE[1:]}, and the set-up fetches the libraries from it once (about 2 GB). "
            f"Connect, and run `{f'make {again}'.strip()}` again.",
            file=sys.stderr,
        )
    elif done.said:
        print(done.said, end="", file=sys.stderr)
    return 0 if done.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
