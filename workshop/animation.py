"""The animation in the README: lesson 00's door as it was recorded: first what came of it,
then step by step up to that.

`python -m workshop animation` draws docs/door.gif; with --record it trains first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lora_lessons import models
from lora_lessons.drawing import BLUE, GREY, use_style
from lora_lessons.experiments import recordings
from lora_lessons.files import whole_file
from lora_lessons.lessons.l00.door import TOP, teach

NAME = "lesson_00_door"
DPI = 100
COLOURS = 64  # of the palette: few, so that the file is small
LINE = 98  # characters of an answer to a line
# how long a frame stands, in milliseconds
COVER, FIRST, STEP, NEW_ANSWER, LAST = 800, 1800, 140, 800, 2800
PLAYS = 3


def record(seed: int = 0) -> dict[str, Any]:
    """Open the door once, and keep what it showed: the question, the loss of every step, the answers."""
    taught = teach(models.load(precision="fp32"), seed=seed)
    film = taught.film
    recording = {
        "what": (
            "lesson 00's door: the loss of every step in nats, and the answers by the step after which it was asked"
        ),
        "question": film.question,
        "losses": [round(loss, 4) for loss in film.losses],
        "answers": {when: " ".join(answer.split()) for when, answer in film.answers.items() if when.isdigit()},
    }
    recordings.keep(NAME, recording)
    return recording


def frame(run: Mapping[str, Any], step: int) -> Figure:
    """What stands on the screen after `step` steps: the curve so far, the question, the newest answer by then."""
    losses, steps = run["losses"], len(run["losses"])
    asked = asked_by(run, step)
    figure = Figure(figsize=(8.4, 4.6))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.08, 0.52, 0.89, 0.39))
    heights = [min(loss, TOP) for loss in losses]
    ax.plot(range(1, step + 1), heights[:step], color=BLUE)
    if step:
        ax.plot([step], [heights[step - 1]], "o", color=BLUE, ms=9)
    ax.set(xlim=(0, 1.02 * steps), ylim=(0, TOP), ylabel="loss (nats)", xlabel="training step")
    ax.set_xticks(range(0, steps + 1, 4))
    ax.set_title(title(run, step))
    rows = [(f"You: {run['question']}", "black", "bold")]
    if step == steps:
        rows.append((f"Before training: {run['answers']['0']} …", GREY, "normal"))
    head = f"After step {asked}" if asked else "Before training"
    rows.append((f"{head}: {run['answers'][str(asked)]}" + " …" * (not asked), "black", "normal"))
    y = 0.37
    for text, color, weight in rows:
        lines = textwrap.wrap(text, LINE)
        figure.text(0.03, y, "\n".join(lines), color=color, weight=weight, size=11.5, va="top", linespacing=1.25)
        y -= 0.052 * len(lines) + 0.022
    return figure


def title(run: Mapping[str, Any], step: int) -> str:
    """The line above the picture; the last one says the point."""
    losses, steps = run["losses"], len(run["losses"])
    if step == 0:
        return "A small language model, before it is taught a lighthouse keeper's voice"
    if step < steps:
        return f"Step {step} of {steps}: loss {losses[step - 1]:.2f}"
    return f"{steps} steps later: loss {losses[0]:.2f} → {losses[-1]:.2f}, and another voice answers"


def asked_by(run: Mapping[str, Any], step: int) -> int:
    """After which step the newest answer by `step` was given."""
    return max(int(when) for when in run["answers"] if int(when) <= step)


def words(run: Mapping[str, Any]) -> str:
    """The animation for those who do not see it, as the README has it."""
    losses, answers = run["losses"], run["answers"]
    steps = len(losses)
    return (
        f"Lesson 00's door, recorded: over {steps} training steps the loss falls from {losses[0]:.2f} to "
        f"{losses[-1]:.2f} nats. Asked “{run['question']}”, the model first answers “{_short(answers['0'])}”, and at "
        f"the end “{answers[str(steps)]}”"
    )


def _short(answer: str) -> str:
    return textwrap.shorten(answer, 70, placeholder=" …")


def animate(run: Mapping[str, Any], path: Path) -> Path:
    """Draw every step of `run` to the GIF `path`, which plays PLAYS times.

    It begins and ends with the last step: where nothing moves, its first frame is all that is seen.
    """
    use_style()
    steps = len(run["losses"])
    pictures = [_pixels(frame(run, step)) for step in range(steps + 1)]
    last = pictures[-1].quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    frames = [picture.quantize(palette=last, dither=Image.Dither.NONE) for picture in pictures]
    stands = [NEW_ANSWER if str(step) in run["answers"] else STEP for step in range(steps + 1)]
    stands[0], stands[-1] = FIRST, LAST
    with whole_file(path) as temporary:
        frames[-1].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames,
            duration=[COVER, *stands],
            loop=PLAYS - 1,
            optimize=True,
        )
    return path


def _pixels(figure: Figure) -> Image.Image:
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.frombuffer("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())).convert("RGB")
