"""What β does: slide it, and see what recorded runs of DPO preferred, said and forgot.

`beta_lab_scene` works everything out, and a slider stands over it; also on the web.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, slider
from ...drawing import BLUE, VERMILION
from ...experiments import betas, recordings

Run = Mapping[str, Any]

# what is drawn of a run: a title, how to read it off, and how to say a number of it
SEEN = {
    "held-out pairs preferred": (lambda run: 100 * run["accuracy"], "{:.0f}%"),
    "words an answer": (lambda run: run["after"]["words"], "{:.0f}"),
    "perplexity, times the base's": (lambda run: run["after"]["perplexity"] / run["before"]["perplexity"], "{:.2f}"),
}


def _runs(recording: Run | None) -> dict[float, list[Run]]:
    """The recorded runs of each β, those with all values of β first. Raises FileNotFoundError where there are none."""
    recording = recording or betas.recorded()
    if recording is None:
        raise FileNotFoundError(f"Not recorded yet. To record it, in pieces if you like: {betas.COMMAND}")
    runs: dict[float, list[Run]] = {}
    for run in recording["runs"].values():
        runs.setdefault(run["beta"], []).append(run)
    return dict(sorted(runs.items()))


def beta_lab_scene(beta: float, recording: Run | None = None) -> Scene:
    """Every run as a dot, the mean of each β as a line, and a ring at the one chosen.

    Raises ValueError for a β of which there is no run, FileNotFoundError where nothing is recorded.
    """
    runs = _runs(recording)
    if beta not in runs:
        raise ValueError(f"β = {beta:g} was not recorded: choose one of {', '.join(f'{one:g}' for one in runs)}.")
    figure = Figure(figsize=(9.4, 3.2))
    panels = figure.subplots(1, len(SEEN))
    means = {title: [fmean(map(read, of_beta)) for of_beta in runs.values()] for title, (read, _) in SEEN.items()}
    scene = Scene(Backdrop(figure), list(runs), [_words(one, of_beta) for one, of_beta in runs.items()])
    for ax, (title, (read, form)) in zip(panels, SEEN.items(), strict=True):
        for one, of_beta in runs.items():
            ax.plot([one] * len(of_beta), list(map(read, of_beta)), "o", color=BLUE, ms=4, alpha=0.4)
        ax.plot(list(runs), means[title], color=BLUE)
        ax.set(xscale="log", xlabel="β", title=title)
        ax.set_xticks(list(runs), [f"{one:g}" for one in runs])
        ax.minorticks_off()
        ax.margins(x=0.12, y=0.25)
        scene.dot(ax, list(runs), means[title], VERMILION, size=13, hollow=True)
        over = [f"β = {one:g}: {form.format(mean)}" for one, mean in zip(runs, means[title], strict=True)]
        ax.get_ylim()  # settles the limits
        x, y = (ax.transAxes + ax.transData.inverted()).transform((0.97, 0.95))
        scene.text(ax, x, y, over, VERMILION, ha="right", va="top")
    return scene


def _words(beta: float, runs: Sequence[Run]) -> str:
    """One β's numbers, and what its first run says to a question."""
    told = ", ".join(f"{title} {form.format(fmean(map(read, runs)))}" for title, (read, form) in SEEN.items())
    chosen, rejected = (fmean(run[side] for run in runs) for side in ("chosen", "rejected"))
    return (
        f"β = {beta:g}, {len(runs)} {'seeds' if len(runs) > 1 else 'seed'}: {told}. The chosen answers moved by {chosen:+.0f} nats, "
        f"the rejected ones by {rejected:+.0f}. Asked “{runs[0]['asked'][0]}”, it says: “{runs[0]['after']['answers'][0].strip()}”"
    )


def beta_lab() -> Stage:
    """Slide β."""
    stops = list(_runs(None))
    return Stage(beta_lab_scene, "beta", [slider("beta", "β", stops)], beta=stops[len(stops) // 2])


def _beta_lab() -> Stage:
    return beta_lab()


live("beta_lab", "widget.beta_lab()", _beta_lab)
