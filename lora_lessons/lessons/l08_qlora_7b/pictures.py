"""Pictures of lesson 08, and their words: what a step needs beside what cards hold, and beside what others measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import memory
from ...course.figures import BILL_COLORS, bill_parts
from ...drawing import BLUE, GREY, ORANGE, VERMILION
from ...tools import planning
from .published import Published

CARDS = ("RTX 3060", "T4", "RTX 3090", "RTX 4090", "RTX 5090", "A100 80", "H100")


def which_card(
    bills: Mapping[str, memory.Bill],
    cards: Sequence[str | float] = CARDS,
    hidden: str = "",
    published: Mapping[str, float] | None = None,
) -> Figure:
    """One stacked bar per method before a dashed line per card; the totals stand in a column of their own.

    The row named `hidden` shows a question mark instead of its bar. `published` puts a diamond at a figure, in GB, that
    was published for that row.
    """
    sizes = [planning.card_bytes(card) / memory.GB for card in cards]
    shown = [bill.total / memory.GB for name, bill in bills.items() if name != hidden]
    width = 1.03 * max(shown + sizes)
    figure = Figure(figsize=(8.4, 1.5 + 0.55 * len(bills)))
    ax = figure.subplots()
    ax.set(xlim=(0, width), ylim=(len(bills) - 0.45, -0.55))
    _card_lines(ax, cards, sizes, width)
    for y, (name, bill) in enumerate(bills.items()):
        if name == hidden:
            ax.text(0.01 * width, y, "?", va="center", size=18, weight="bold")
        else:
            _bar(ax, y, bill, width)
        total = "? GB" if name == hidden else f"{bill.total / memory.GB:.1f} GB"
        ax.text(1.02, y, total, va="center", weight="bold", transform=ax.get_yaxis_transform())
        if x := (published or {}).get(name):
            ax.plot([x], [y + 0.31], "D", ms=8, color="white", markeredgecolor="black", markeredgewidth=1.4, zorder=4)
    about = "; ◇ published" if published else ""
    ax.set_yticks(range(len(bills)), list(bills))
    ax.set_xlabel(f"GB at the peak of a step (dashed: what a card holds{about})")
    ax.grid(visible=False)
    return figure


def _bar(ax: Any, y: float, bill: memory.Bill, width: float) -> None:
    """The parts of a bill side by side; those with room for it are named."""
    left = 0.0
    for name, part in bill_parts(bill).items():
        size, color = part / memory.GB, BILL_COLORS[name]
        if size:
            ax.barh(y, size, left=left, color=color, edgecolor="white", lw=0.4, height=0.62, zorder=2)
        if size > 0.0118 * len(name) * width:
            ink = "black" if color == ORANGE else "white"
            ax.text(left + size / 2, y, name, ha="center", va="center", color=ink, size=9, weight="bold", zorder=3)
        left += size


def _card_lines(ax: Any, cards: Sequence[str | float], sizes: Sequence[float], width: float) -> None:
    """A line behind the bars for each size of card, its name above, a step higher where it would touch the last."""
    by_size: dict[float, list[str]] = {}
    for card, size in zip(cards, sizes, strict=True):
        by_size.setdefault(size, []).append(f"{card:g} GB" if isinstance(card, float) else card)
    ends = [-width] * len(by_size)  # where the last name on each step ends
    for size, names in sorted(by_size.items()):
        text = ", ".join(names)
        half = 0.0072 * len(text) * width
        step = next(n for n, end in enumerate(ends) if size - half > end)
        ends[step] = size + half
        ax.axvline(size, color=VERMILION, lw=1.2, ls="--", zorder=0.5)
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "color": VERMILION, "size": 9, "weight": "bold"}
        ax.annotate(
            text, (size, 1), (0, 4 + 15 * step), textcoords="offset points", xycoords=("data", "axes fraction"), **style
        )


def beside_published(errors: Mapping[Published, float]) -> Figure:
    """A dot for each published figure, in percent: a triangle to the left of zero where the job took more than planned."""
    figure = Figure(figsize=(8.4, 1.2 + 0.23 * len(errors)))
    ax = figure.subplots()
    ax.axvspan(-15, 15, color="#eef0f2", zorder=0)
    ax.axvline(0, color=GREY, lw=1.2)
    for y, error in enumerate(errors.values()):
        color, marker = (VERMILION, "<") if error < 0 else (BLUE, "o")
        ax.plot([0, 100 * error], [y, y], color=color, lw=1.4)
        ax.plot([100 * error], [y], marker, color=color, ms=7)
    ax.set_yticks(range(len(errors)), list(map(job_in_words, errors)), size=9)
    ax.set(ylim=(len(errors) - 0.4, -0.6), xlim=(-32, 32))
    ax.set_xlabel("the plan is … percent off      ◂ it took more than planned   |   it took less ●")
    ax.grid(visible=False, axis="y")
    return figure


def job_in_words(row: Published) -> str:
    """Who measured what: "Qwen's README: Qwen-7B, lora, 256 tokens"."""
    rows = f"{row.job.batch_size} × " if row.job.batch_size > 1 else ""
    return f"{row.source}: {row.model}, {row.job.method}, {rows}{row.job.seq:,} tokens"


def totals(bills: Mapping[str, memory.Bill], hidden: str = "") -> str:
    """Each bar's total, for a text of 1,024 tokens; the hidden one is a question."""
    listed = "; ".join(
        f"{name} {'?' if name == hidden else f'{bill.total / memory.GB:.1f} GB'}" for name, bill in bills.items()
    )
    return f"What one training step of Qwen2.5-7B is planned to need (1,024 tokens, checkpointing): {listed}."


def parts(bills: Mapping[str, memory.Bill]) -> str:
    """Each bar's parts of at least 0.1 GB."""
    listed = (
        f"{name}: "
        + ", ".join(
            f"{part} {size / memory.GB:.1f}" for part, size in bill_parts(bill).items() if size > 0.05 * memory.GB
        )
        for name, bill in bills.items()
    )
    return f"{totals(bills)} In GB, {'; '.join(listed)}."


def published_in_words(errors: Mapping[Published, float]) -> str:
    """The range of each source's errors, and how many lie on each side."""
    by_source: dict[str, list[float]] = {}
    for row, error in errors.items():
        by_source.setdefault(row.source, []).append(error)
    listed = "; ".join(
        f"{source} ({len(its_own)}) {min(its_own):+.0%} to {max(its_own):+.0%}" for source, its_own in by_source.items()
    )
    more = sum(error < 0 for error in errors.values())
    return (
        f"How far the plan is from {len(errors)} published figures: {listed}. "
        f"{more} of the jobs took more than planned, {len(errors) - more} less."
    )
