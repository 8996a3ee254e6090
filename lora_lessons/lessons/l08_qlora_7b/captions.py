"""Lesson 08's pictures in words."""

from __future__ import annotations

from collections.abc import Mapping

from ... import memory
from ...course.pictures import bill_parts


def totals(bills: Mapping[str, memory.Bill], hidden: str = "") -> str:
    """Each bar's total, for a text of 1,024 tokens; the hidden one is a question."""
    said = "; ".join(
        f"{name} {'?' if name == hidden else f'{bill.total / memory.GB:.1f} GB'}" for name, bill in bills.items()
    )
    return f"What one training step of Qwen2.5-7B is planned to need (1,024 tokens, checkpointing): {said}."


def parts(bills: Mapping[str, memory.Bill]) -> str:
    """Each bar's parts of at least 0.1 GB."""
    said = (
        f"{name}: "
        + ", ".join(
            f"{part} {size / memory.GB:.1f}" for part, size in bill_parts(bill).items() if size > 0.05 * memory.GB
        )
        for name, bill in bills.items()
    )
    return f"{totals(bills)} In GB, {'; '.join(said)}."
