"""What β does: slide it, and see what recorded runs of DPO preferred, said and forgot.

`beta_lab_scene` works everything out, and a slider stands over it; also on the web.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from textwrap import shorten
from typing import Any

from matplotlib.figure import Figure

from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, slider
from ...drawing import BLUE, VERMILION
from ...experiments import betas, recordings

Run = Mapping[str, Any]


def _times(number: float) -> str:
    """A ratio with as many digits as matter."""
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


# what is drawn of a run: a title, how to read it off, how to say a number of it, and the scale of its axis
SEEN: dict[str, tuple[Callable[[Run], float], Callable[[float], str], str]] = {
    "held-out pairs preferred": (lambda run: 100 * run["accuracy"], "{:.0f}%".format, "percent"),
    "words per answer": (lambda run: run["after"]["words"], "{:.0f}".format, "linear"),
    "perplexity ÷ the base's": (lambda run: run["after"]["perplexity"] / run["before"]["perplexity"], _times, "log"),
}


def _runs(recording: Run | None) -> dict[float, list[Run]]:
    """The recorded runs of each β, those with all values of β first. Raises FileNotFoundError where there are none."""
    recording = recording or recordings.recorded_if_any(betas.NAME)
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
    means = {title: [fmean(map(read, of_beta)) for of_beta in runs.values()] for title, (read, *_) in SEEN.items()}
    scene = Scene(
        Backdrop(figure, (2.1,) * len(SEEN)), list(runs), [_words(one, of_beta) for one, of_beta in runs.items()]
    )
    for ax, (title, (read, say, scale)) in zip(panels, SEEN.items(), strict=True):
        for one, of_beta in runs.items():
            ax.plot([one] * len(of_beta), list(map(read, of_beta)), "o", color=BLUE, ms=4, alpha=0.4)
        ax.plot(list(runs), means[title], color=BLUE)
        ax.set(xscale="log", yscale="log" if scale == "log" else "linear", xlabel="β", title=title)
        ax.set_xticks(list(runs), [f"{one:g}" for one in runs])
        ax.minorticks_off()
        ax.margins(x=0.12, y=0.25)
        if scale != "log":
            ax.set_ylim(bottom=0, top=1.25 * max(means[title]))
            if scale == "percent":
                ax.set_yticks(range(0, 101, 20))
        scene.dot(ax, list(runs), means[title], VERMILION, size=13, hollow=True)
        over = [f"β = {one:g}: {say(mean)}" for one, mean in zip(runs, means[title], strict=True)]
        ax.get_ylim()  # settles the limits
        x, y = (ax.transAxes + ax.transData.inverted()).transform((0.97, 0.95))
        scene.text(ax, x, y, over, VERMILION, ha="right", va="top")
    return scene


def _words(beta: float, runs: Sequence[Run]) -> str:
    """One β's numbers, and what its first run says to a question."""
    told = ", ".join(f"{title} {say(fmean(map(read, runs)))}" for title, (read, say, _) in SEEN.items())
    chosen, rejected = (fmean(run[side] for run in runs) for side in ("chosen", "rejected"))
    said = shorten(runs[0]["after"]["answers"][0], 120, placeholder=" …")
    return (
        f"β = {beta:g}, {len(runs)} {'seeds' if len(runs) > 1 else 'seed'}: {told}. The chosen answers moved by "
        f"{chosen:+.0f} nats, the rejected ones by {rejected:+.0f}. Asked “{runs[0]['asked'][0]}”, it says: “{said}”"
    )


def beta_lab() -> Stage:
    """Slide β."""
    stops = list(_runs(None))
    return Stage(beta_lab_scene, "beta", [slider("beta", "β", stops)], beta=stops[len(stops) // 2])


def _beta_lab() -> Stage:
    return beta_lab()


live("beta_lab", "widget.beta_lab()", _beta_lab)
