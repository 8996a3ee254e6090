"""The loss while a model trains: one small picture in the notebook, drawn anew in its place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..drawing import BLUE, WIDTH, figure_html, label
from ..training import Training

EVERY = 1.0  # seconds between two pictures, at least
SHARE = 0.02  # of the time that may go into drawing
LOSSES = "application/vnd.lora-lessons.losses+json"  # the curve for a program that watches the notebook


class LossCurve:
    """Hand it to `training.train` as `on_step`: a notebook then shows the loss so far, and keeps the last picture.

    It draws the first step and the last, and between them about once a second, or less often where drawing takes long.
    A run that was read back is drawn at once. Outside a notebook it does nothing.
    """

    def __init__(self) -> None:
        self.run = Training()
        self._handle: Any = None
        self._due = 0.0

    def __call__(self, run: Training) -> None:
        """Take in the run's story so far."""
        new, begun = run is not self.run, time.perf_counter()
        self.run = run
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
        """The loss of every step so far."""
        figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
        ax = figure.subplots()
        losses, steps = self.run.losses, self.run.steps
        ax.plot(range(1, len(losses) + 1), losses, color=BLUE, marker="o", ms=3.5)
        label(ax, steps, losses[-1], f"{losses[-1]:.2f}", BLUE)
        ax.set(title="Loss of each training step", xlabel="step", ylabel="loss (nats)")
        ax.set(xlim=(0, 1.25 * steps), ylim=(0, 1.1 * max(losses)))
        ax.set_xticks(range(0, steps + 1, max(1, steps // 6)))
        return figure

    def words(self) -> str:
        """Where the run began and has come to."""
        losses, taken = self.run.losses, len(self.run.losses)
        of = f" of {self.run.steps}" * (taken < self.run.steps)
        if taken == 1:
            return f"The loss is {losses[0]:.2f} nats at step 1{of}."
        fell = "fell" if losses[-1] < losses[0] else "rose"
        return f"The loss {fell} from {losses[0]:.2f} nats at step 1 to {losses[-1]:.2f} at step {taken}{of}."

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            LOSSES: {"losses": self.run.losses, "steps": self.run.steps},
            "text/html": figure_html(self.picture(), self.words(), 105),
            "text/plain": self.words(),
        }


class Rungs(LossCurve):
    """A `LossCurve` for a run that may be stopped early: it takes as many steps as the file `allowed` says,
    and waits there.

    Whoever watches the notebook sees the losses, and writes a larger number, or 0: that stops the run as Ctrl-C does.
    """

    def __init__(self, allowed: str) -> None:
        super().__init__()
        self.allowed = Path(allowed)

    def __call__(self, run: Training) -> None:
        """Take in the run's story so far. Raises KeyboardInterrupt where it may not go on."""
        super().__call__(run)
        if self._may_take() <= len(run.losses) < run.steps:
            self._show()
            while (steps := self._may_take()) <= len(run.losses):
                if steps == 0:
                    raise KeyboardInterrupt
                time.sleep(0.05)

    def _may_take(self) -> int:
        return int(self.allowed.read_text(encoding="utf-8"))
