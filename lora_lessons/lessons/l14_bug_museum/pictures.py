"""Pictures of lesson 14: three losses that look alike, and what else was measured of the same three runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, label
from .workbench import Attempt

COLORS = (BLUE, ORANGE, PURPLE)


def losses(runs: Mapping[str, Sequence[float]]) -> tuple[Figure, str]:
    """The training loss of each run over its steps. And its words."""
    figure = Figure(figsize=(7.0, 3.4))
    ax = figure.subplots()
    for (name, curve), color in zip(runs.items(), COLORS, strict=False):
        steps = range(1, len(curve) + 1)
        ax.plot(steps, curve, color=color)
        label(ax, len(curve), curve[-1], name, color, size=13)
    ax.set(xlabel="step", ylabel="training loss, nats per token", ylim=(0, None))
    listed = "; ".join(f"{name} falls from {curve[0]:.2f} to {curve[-1]:.2f}" for name, curve in runs.items())
    return figure, f"the training loss of three runs: {listed}. All three fall, and only one run is healthy."


def three_measures(runs: Mapping[str, Attempt], base: tuple[float, float], healthy: str) -> tuple[Figure, str]:
    """Training loss, held-out loss and perplexity of each run as bars; a dashed line is the base before training.

    `base` is the base's held-out loss and perplexity. And its words.
    """
    figure = Figure(figsize=(8.4, 2.9))
    panels = (
        ("training loss, last step", [run.losses[-1] for run in runs.values()], None, "{:.2f}"),
        ("held-out loss", [run.held_out for run in runs.values()], base[0], "{:.2f}"),
        ("perplexity, general text", [run.general for run in runs.values()], base[1], "{:.0f}"),
    )
    sentences = []
    for ax, (title, values, before, shape) in zip(figure.subplots(1, 3), panels, strict=True):
        colors = [GREEN if name == healthy else VERMILION for name in runs]
        ax.barh(range(len(values)), values, color=colors, height=0.6)
        room = max([*values, before or 0])
        for y, value in enumerate(values):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.text(value + 0.02 * room, y, shape.format(value), va="center", size=10, bbox=box)
        if before:
            ax.axvline(before, color=GREY, ls="--", lw=1.3, zorder=0.5)
            ax.annotate("the base", (before, -0.75), (3, -2), textcoords="offset points", color=GREY, size=8, va="top")
        ax.set_title(title, size=10)
        ax.set(xlim=(0, 1.3 * room), ylim=(len(values) - 0.4, -0.75))
        ax.set_yticks(range(len(values)), list(runs))
        ax.grid(visible=False)
        listed = ", ".join(f"{name} {shape.format(value)}" for name, value in zip(runs, values, strict=True))
        sentences.append(f"{title}: {listed}" + (f" (the base: {shape.format(before)})" if before else ""))
    return figure, f"{'; '.join(sentences)}. The healthy run, {healthy}, is green."
