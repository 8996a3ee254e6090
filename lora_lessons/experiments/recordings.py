"""What an experiment measured once: a file of data/measurements/, with the machine, the date and the versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import write_text
from ..machine import stamp
from ..paths import measurements


def recorded(name: str) -> dict[str, Any]:
    """A recording that lessons quote. Raises FileNotFoundError when the checkout lacks it."""
    found: dict[str, Any] = json.loads((measurements() / f"{name}.json").read_text(encoding="utf-8"))
    return found


def keep(name: str, found: Mapping[str, Any], out: Path | None = None) -> None:
    """Write a recording, stamped, where `recorded` reads it, or to the file `out`."""
    text = json.dumps(stamp() | dict(found), indent=1, ensure_ascii=False) + "\n"
    write_text(out or measurements() / f"{name}.json", text)
