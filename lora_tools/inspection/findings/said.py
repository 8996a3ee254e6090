"""The sentences of findings.toml, and a few words that many of them need."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ..architectures import TOWERS
from ..xray import Finding, Severity


@cache
def read() -> dict[str, dict[str, Any]]:
    """findings.toml."""
    return tomllib.loads(Path(__file__).parent.with_name("findings.toml").read_text(encoding="utf-8"))


def finding(row: str, severity: Severity | Literal[""] = "", **parts: Any) -> Finding:
    """The finding of a row of findings.toml, with `parts` in its sentence; `severity` where the row leaves it open."""
    code, usual, behind, sentence = read()["sentences"][row]
    return Finding(code, severity or usual, sentence.format(**parts), behind.format(**parts))


def named(modules: Sequence[str], of: int) -> str:
    """ "3 of 60 matrices, such as layers.0.q_proj", or "all 60 matrices"."""
    if len(modules) == of:
        return f"all {of} matrices" if of > 1 else f"its one matrix, {modules[0]}"
    return f"{len(modules)} of {of} matrices, such as {modules[0]}"


def in_towers(modules: Sequence[str]) -> bool:
    """Whether all of them belong to what sees or hears."""
    return all(not TOWERS.isdisjoint(module.split(".")) for module in modules)
