"""What β does: slide it, and see what recorded runs of DPO preferred, said and forgot; also on the web."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import shorten

from matplotlib.figure import Figure

from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, slider
from ...drawing import BLUE, VERMILION
from ...experiments import recorded

# how a number of each panel is said
SAID: dict[str, Callable[[float], str]] = {
    "held-out pairs preferred": "{:.0f}%".format,
    "words per answer": "{:.0f}".format,
    "perplexity ÷ the base's": lambda ratio: f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}",
}


def beta_lab_scene(beta: float) -> Scene:
    """A line through one recorded run of each β, and a ring at the one chosen. Raises ValueError for any other β."""
    runs = recorded("lesson_13_betas").query("seed == 0").sort_values("beta")
    betas = runs.beta.tolist()
    if beta not in betas:
        raise ValueError(f"β = {beta:g} was not recorded: choose one of {', '.join(f'{one:g}' for one in betas)}.")
    forgotten = runs["after.perplexity"] / runs["before.perplexity"]
    seen = dict(zip(SAID, (100 * runs.accuracy, runs["after.words"], forgotten), strict=True))
    told = [", ".join(f"{name} {say(seen[name].iloc[n])}" for name, say in SAID.items()) for n in range(len(runs))]
    words = [
        f"β = {run.beta:g}: {numbers}. The chosen answers moved by {run.chosen:+.0f} nats, the rejected ones by "
        f"{run.rejected:+.0f}. Asked “{run.asked[0]}”, it says: “{shorten(answers[0], 120, placeholder=' …')}”"
        for run, answers, numbers in zip(runs.itertuples(), runs["after.answers"], told, strict=True)
    ]
    figure = Figure(figsize=(9.4, 3.2))
    panels = figure.subplots(1, len(SAID))
    scene = Scene(Backdrop(figure, (2.1,) * len(SAID)), betas, words)
    for ax, (name, column) in zip(panels, seen.items(), strict=True):
        log = column.max() > 1000
        ax.plot(betas, column, "o-", color=BLUE, ms=4)
        ax.set(xscale="log", yscale="log" if log else "linear", xlabel="β", title=name)
        ax.set_xticks(betas, [f"{one:g}" for one in betas])
        ax.minorticks_off()
        ax.margins(x=0.12, y=0.25)
        ax.set_ylim(None if log else 0, None if log else 1.25 * column.max())
        scene.dot(ax, betas, column.tolist(), VERMILION, size=13, hollow=True)
        ax.get_ylim()  # settles the limits
        x, y = (ax.transAxes + ax.transData.inverted()).transform((0.97, 0.95))
        said = [f"β = {one:g}: {SAID[name](value)}" for one, value in zip(betas, column, strict=True)]
        scene.text(ax, x, y, said, VERMILION, ha="right", va="top")
    panels[0].set_yticks(range(0, 101, 20))
    return scene


def beta_lab() -> Stage:
    """Slide β."""
    betas = sorted(recorded("lesson_13_betas").beta.unique().tolist())
    return Stage(beta_lab_scene, "beta", [slider("beta", "β", betas)], beta=betas[len(betas) // 2])


live("beta_lab", "widget.beta_lab()", beta_lab)
