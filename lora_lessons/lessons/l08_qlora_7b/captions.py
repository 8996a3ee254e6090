"""Lesson 08's pictures in words."""

from __future__ import annotations

from collections.abc import Mapping

from ... import memory
from ...course.figures import bill_parts
from .published import Published


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


def beside_published(errors: Mapping[Published, float]) -> str:
    """The range of each source's errors, and how many lie on each side."""
    by_source: dict[str, list[float]] = {}
    for row, error in errors.items():
        by_source.setdefault(row.source, []).append(error)
    said = "; ".join(
        f"{source} ({len(found)}) {min(found):+.0%} to {max(found):+.0%}" for source, found in by_source.items()
    )
    more = sum(error < 0 for error in errors.values())
    return (
        f"How far the plan is from {len(errors)} published figures: {said}. "
        f"{more} of the jobs took more than planned, {len(errors) - more} less."
    )
