"""The loss while a model trains: one small picture in the notebook, drawn anew in its place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..drawing import BLUE, GREY, figure_html, label
from ..training import Training

EVERY = 1.0  # seconds between two pictures, at least
SHARE = 0.02  # of the time that may go into drawing
GROWS = "(Where a kernel runs, this curve grows while the model trains.)"
LOSSES = "application/vnd.lora-lessons.losses+json"  # the curve for a program that watches the notebook


class LossCurve:
    """Hand it to `training.train` as `on_step`: a notebook then shows the loss so far, and keeps the last picture.

    It draws the first step and the last, and between them about once a second, or less often where drawing takes long.
    A run that was read back is drawn at once. Given a `name` as well, it keeps the runs before in grey. Outside a
    notebook it does nothing.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Training] = {}
        self._handle: Any = None
        self._due = 0.0

    def __call__(self, run: Training, name: str = "") -> None:
        """Take in a run's story so far."""
        new, begun = name not in self.runs, time.perf_counter()
        self.runs[name] = run
        if new or len(run.losses) == run.steps or begun >= self._due:
            self._show()
            now = time.perf_counter()
            self._due = now + max(EVERY, (now - begun) / SHARE)

    def _show(self) -> None:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        if self._handle is not None:
            self._handle.update(self)
        elif get_ipython():
            self._handle = display(self, display_id=True)

    def picture(self) -> Figure:
        """The loss of every step so far; the last run in blue with its name, those before it in grey."""
        figure = Figure(figsize=(7.2, 2.3), layout="constrained")
        ax = figure.subplots()
        *before, (name, run) = self.runs.items()
        for _, earlier in before:
            ax.plot(range(1, len(earlier.losses) + 1), earlier.losses, color=GREY, lw=1.2, ls="--")
        ax.plot(range(1, len(run.losses) + 1), run.losses, color=BLUE, marker="o", ms=3.5)
        end = f"{name}: {run.losses[-1]:.2f}".removeprefix(": ")
        title = "Loss of each training step" + " (grey: the runs before)" * bool(before)
        highest = max(loss for one in self.runs.values() for loss in one.losses)
        steps = max(one.steps for one in self.runs.values())
        label(ax, steps, run.losses[-1], end, BLUE)
        ax.set(title=title, xlabel="step", ylabel="loss (nats)", xlim=(0, 1.25 * steps), ylim=(0, 1.1 * highest))
        ax.set_xticks(range(0, steps + 1, max(1, steps // 6)))
        return figure

    def words(self) -> str:
        """Where each run began and has come to."""
        return " ".join(_said(name, run) for name, run in self.runs.items())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        run = next(reversed(self.runs.values()))
        return {
            LOSSES: {"losses": run.losses, "steps": run.steps},
            "text/html": figure_html(self.picture(), self.words(), 105, GROWS),
            "text/plain": self.words(),
        }


class Rungs(LossCurve):
    """A `LossCurve` for a run that may be stopped early: it takes as many steps as the file `allowed` says, and waits there.

    Whoever watches the notebook sees the losses, and writes a larger number, or 0: that stops the run as Ctrl-C does.
    """

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = Path(allowed)

    def __call__(self, run: Training, name: str = "") -> None:
        """Take in a run's story so far. Raises KeyboardInterrupt where it may not go on."""
        super().__call__(run, name)
        if self._may_take() <= len(run.losses) < run.steps:
            self._show()
            while (steps := self._may_take()) <= len(run.losses):
                if steps == 0:
                    raise KeyboardInterrupt
                time.sleep(0.05)

    def _may_take(self) -> int:
        return int(self.allowed.read_text(encoding="utf-8"))


def _said(name: str, run: Training) -> str:
    taken, of = len(run.losses), f" of {run.steps}" * (len(run.losses) < run.steps)
    if taken == 1:
        return f"{name or 'The loss'} is {run.losses[0]:.2f} nats at step 1{of}."
    fell = "fell" if run.losses[-1] < run.losses[0] else "rose"
    return f"{name or 'The loss'} {fell} from {run.losses[0]:.2f} nats at step 1 to {run.losses[-1]:.2f} at step {taken}{of}."
