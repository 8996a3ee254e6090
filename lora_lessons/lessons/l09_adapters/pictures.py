"""Pictures of lesson 09: scorecards, prompts beside adapters, an adapter at each scale, and what merging leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import evaluation
from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label
from .measured import Moves


def _share(ax: Any, share: float, of: int, y: float, color: str, **how: Any) -> None:
    """A share as a dot, its 95% interval as a line through it, its value above."""
    low, high = evaluation.interval(share, of)
    ax.plot([low, high], [y, y], color=color, lw=2, alpha=0.6, solid_capstyle="butt")
    ax.plot(share, y, "o", color=color, ms=8, **how)
    place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 9}
    ax.annotate(f"{share:.0%}", (share, y), color=color, weight="bold", **place)


def _percent(ax: Any) -> None:
    ax.set(xlim=(-0.08, 1.1), xticks=[0, 0.5, 1])
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")


def cards(found: Mapping[str, evaluation.Scorecard], scored: int, everyday: int) -> Figure:
    """A row an adapter: rules kept, general perplexity and format drift; the base hollow, the adapter filled."""
    figure = Figure(figsize=(9.0, 1.1 + 0.66 * len(found)))
    columns: list[tuple[str, int, Callable[[evaluation.Score], float], str]] = [
        (f"keep every rule ({scored} answers)", scored, lambda s: s.kept, BLUE),
        ("perplexity, general text", 0, lambda s: s.general, ORANGE),
        (f"format drift ({everyday} answers)", everyday, lambda s: s.drift, VERMILION),
    ]
    for ax, (title, of, value, color) in zip(figure.subplots(1, 3, sharey=True), columns, strict=True):
        for y, card in enumerate(found.values()):
            before, after = value(card.base), value(card.trained)
            ax.plot(before, y, "o", mfc="white", mec=color, mew=2, ms=9)
            if of:
                _share(ax, after, of, y, color)
            else:
                ax.plot([before, after], [y, y], color=color, lw=2, alpha=0.6)
                ax.plot(after, y, "o", color=color, ms=8)
                label(ax, max(before, after), y, f"{after:.0f}", color, fontsize=9)
        if of:
            _percent(ax)
        else:
            ax.set(xlim=(0, 1.25 * max(max(value(c.base), value(c.trained)) for c in found.values())))
        ax.set_title(title, fontsize=10)
        ax.set_yticks(range(len(found)), list(found))
        ax.set(ylim=(len(found) - 0.5, -0.7))
    return figure


def prompts(found: Mapping[str, Mapping[str, float]], of: int) -> Figure:
    """A panel a task, a row a way to ask: the share of `of` answers that keep every rule, with its interval."""
    ways = list(next(iter(found.values())))
    figure = Figure(figsize=(9.2, 1.0 + 0.42 * len(ways)))
    for ax, (task, shares) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        for y, way in enumerate(ways):
            _share(ax, shares[way], of, y, BLUE if way == ways[-1] else GREY)
        _percent(ax)
        ax.set_title(task, fontsize=10)
        ax.set_yticks(range(len(ways)), ways)
        ax.set(ylim=(len(ways) - 0.5, -0.8))
    return figure


def along_the_scale(scales: Sequence[float], losses: Sequence[float], general: Sequence[float]) -> Figure:
    """The loss on the adapter's own task and on general text, in nats on one axis, for an adapter at each scale."""
    figure = Figure(figsize=(7.6, 3.6))
    ax = figure.subplots()
    for values, color, name in ((losses, BLUE, "its own task"), (general, ORANGE, "general text")):
        ax.plot(scales, values, "o-", color=color)
        label(ax, scales[-1], values[-1], name, color)
    for at, name in ((0, "the base"), (1, "as trained")):
        ax.axvline(at, color=GREY, lw=1, ls=":", zorder=0.5)
        ax.annotate(name, (at, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=GREY)
    ax.set(xlabel="scale of the update", ylabel="loss (nats a token)", ylim=(0, 1.1 * max(*losses, *general)))
    ax.set(xticks=list(scales), xlim=(scales[0] - 0.1, scales[-1] + 0.75))
    return figure


def snaps(moves: Moves) -> Figure:
    """What a weight was asked to move against what it moved on average, both in steps between NF4's marks."""
    figure = Figure(figsize=(7.2, 3.8))
    ax = figure.subplots()
    limit = max(map(abs, moves.asked))
    ax.plot([-limit, limit], [-limit, limit], color=GREY, ls=":", lw=1.5)
    for got, color, name, drop in (
        (moves.then_rounded, BLUE, "merged in 16 bits, then rounded", (-14, -4)),
        (moves.into_rounded, VERMILION, "merged into the rounded base", (0, -18)),
    ):
        ax.plot(moves.asked, got, "o-", color=color, ms=5)
        place: dict[str, Any] = {"xytext": drop, "textcoords": "offset points", "ha": "right"}
        ax.annotate(name, (moves.asked[-1], got[-1]), color=color, weight="bold", **place)
    ax.set(xlabel="asked: ΔW, in steps between two marks", ylabel="got, on average")
    ax.set_title("What a weight gets of its update", fontsize=11)
    return figure


def survives(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Figure:
    """A row a way: the share of right answers with its interval, and the KL from the unmerged model."""
    figure = Figure(figsize=(9.4, 1.0 + 0.5 * len(rows)))
    left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [1, 1]})
    for y, row in enumerate(rows):
        color = {"base": VERMILION, "into_nf4": VERMILION, "unmerged": GREEN}.get(row["way"], BLUE)
        _share(left, row["kept"], int(row["of"]), y, color)
        right.barh(y, row["kl"], color=color, height=0.5)
        label(right, row["kl"], y, f"{row['kl']:.2g}", color, fontsize=9)
    _percent(left)
    left.set_title("answers that keep every rule", fontsize=10)
    right.set_title("KL from unmerged (nats a token)", fontsize=10)
    right.set(xlim=(0, 1.25 * max(row["kl"] for row in rows)))
    left.set_yticks(range(len(rows)), [f"{titles[row['way']]} · {row['bits']:.1f} bits" for row in rows])
    left.set(ylim=(len(rows) - 0.5, -0.9))
    return figure


def merge_paths(paths: Mapping[str, tuple[float, float]]) -> Figure:
    """A row a path: how far its next-token distribution is from the unmerged model's (KL), and its size in MB."""
    figure = Figure(figsize=(8.4, 0.9 + 0.55 * len(paths)))
    ax = figure.subplots()
    for y, (kl, megabytes) in enumerate(paths.values()):
        ax.barh(y, kl, color=VERMILION, height=0.55)
        label(ax, kl, y, f"{kl:.2g} nats, {megabytes:.0f} MB", "black")
    ax.set_yticks(range(len(paths)), list(paths))
    ax.invert_yaxis()
    ax.set(
        xlim=(0, 1.45 * max(kl for kl, _ in paths.values())), xlabel="mean KL from the unmerged model (nats a token)"
    )
    ax.set_title("What merging changes")
    return figure
