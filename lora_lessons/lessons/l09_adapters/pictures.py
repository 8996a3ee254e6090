"""Pictures of lesson 09: scorecards, an adapter at each scale, paths of a merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import evaluation
from ...course.figures import BLUE, ORANGE, VERMILION, label


def cards(found: Mapping[str, evaluation.Scorecard]) -> Figure:
    """Three columns, a row an adapter: rules kept, general perplexity and format drift, the base's hollow, its own filled."""
    figure = Figure(figsize=(9.0, 1.1 + 0.62 * len(found)))
    columns: list[tuple[str, str, Callable[[evaluation.Score], float]]] = [
        ("answers that keep every rule", "{:.0%}", lambda s: s.kept),
        ("perplexity, general text", "{:.0f}", lambda s: s.general),
        ("format drift, unasked", "{:.0%}", lambda s: s.drift),
    ]
    for ax, (title, form, of), color in zip(
        figure.subplots(1, 3, sharey=True), columns, (BLUE, ORANGE, VERMILION), strict=True
    ):
        for y, card in enumerate(found.values()):
            before, after = of(card.base), of(card.trained)
            ax.plot([before, after], [y, y], color=color, lw=2.5, alpha=0.5)
            ax.plot(before, y, "o", mfc="white", mec=color, mew=2, ms=8)
            ax.plot(after, y, "o", color=color, ms=9)
            ax.annotate(
                form.format(after),
                (after, y),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                color=color,
                weight="bold",
                fontsize=9,
            )
        if "%" in form:
            ax.set(xlim=(-0.08, 1.08))
            ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        else:
            ax.set(xlim=(0, 1.15 * max(max(of(c.base), of(c.trained)) for c in found.values())))
        ax.set_title(title, fontsize=10)
        ax.set_yticks(range(len(found)), list(found))
        ax.set(ylim=(len(found) - 0.5, -0.7))
    return figure


def along_the_scale(scales: Sequence[float], losses: Sequence[float], general: Sequence[float]) -> Figure:
    """Held-out loss on the task, and perplexity on general text, for an adapter at each scale."""
    figure = Figure(figsize=(8.4, 3.2))
    left, right = figure.subplots(1, 2)
    for ax, values, color, title in (
        (left, losses, BLUE, "held-out loss on its task (nats)"),
        (right, general, ORANGE, "perplexity, general text"),
    ):
        ax.plot(scales, values, "o-", color=color)
        for at, name, offset in ((0, "the base", (8, 8)), (1, "as trained", (-24, -20))):
            if at in scales:
                value = values[list(scales).index(at)]
                ax.plot(at, value, "o", color=color, ms=11)
                ax.annotate(
                    name,
                    (at, value),
                    xytext=offset,
                    textcoords="offset points",
                    weight="bold",
                    color=color,
                )
        ax.set(xlabel="scale of the update", ylim=(0, 1.2 * max(values)))
        ax.set_title(title, fontsize=11)
    right.set(yscale="log", ylim=(0.3 * min(general), 2 * max(general)))
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
