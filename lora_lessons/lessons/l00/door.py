"""The five-minute door: a voice is taught while you watch, turned up and down with a slider, and kept as a file.

`teach` trains and shows; `Taught` is what came of it: `scales()`, `ask()` and `keep()`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ... import evaluation, lora, models, tasks, training
from ...adapter import ADAPTER_WEIGHTS, save_adapter
from ...course import my_folder
from ...course.chat_box import ChatBox, chat_box, turns
from ...course.on_the_web import SCENE, recorded_on, whole_stage
from ...course.stage import Backdrop, Scene, Stage, slider
from ...drawing import BLUE, GREEN, ORANGE
from ...files import whole_file
from ...paths import cache_dir

QUESTION = "How can I seem less shy at parties?"
STEPS, EVERY = 24, 4  # steps of training, and after how many of them the question is asked again
RANK, ALPHA, RATE = 8, 16, 4e-3
WORDS = 48  # tokens of an answer at most
JUDGED = 8  # held-out examples that the loss of a scale is measured on
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0)
FAINT = "#b9c4cd"  # the steps still to come, when the slider is dragged back
TOP = 6.0  # nats; the losses begin near 5


def teach(
    base: models.Base,
    question: str = QUESTION,
    *,
    steps: int | None = None,
    every: int | None = None,
    seed: int = 0,
    again: bool = False,
) -> Taught:
    """Train WICK's voice into an adapter on `base`, and show the loss and the answer to `question` as they change.

    It takes `steps` steps and asks again after `every` of them (STEPS and EVERY unless you say otherwise).
    Interrupted, it goes on from the last answer when it is called again on a fresh base; finished, it is shown at once.
    again=True trains once more from the start. The adapter stays on `base`.
    """
    steps, every = steps or STEPS, every or EVERY
    fast = models.best_precision().name == "bf16"  # compute in 16 bits where that is faster here
    task = tasks.load_task("persona")
    examples = [tasks.encode(base.tokenizer, example) for example in task.train]
    how = training.Settings(
        steps=steps, batch_size=4, learning_rate=RATE, seed=seed, autocast=fast, checkpoint_every=every
    )
    lora.attach(base.model, r=RANK, lora_alpha=ALPHA, seed=seed)
    run = training.fingerprint(base.model, examples, how)
    name = hashlib.sha256(f"{run} {question}".encode()).hexdigest()[:24]
    folder = cache_dir() / "runs" / f"door-{name}"
    film = Film(base, question, steps, every, folder / "answers.json.gz", fresh=again)
    shown = _display(film.stage)
    try:
        trained = training.train(base.model, examples, how, run_dir=folder, reuse=not again, on_step=film.hear)
    finally:
        film.stage.follow = False
        if shown is not None:
            shown.update(film.stage)  # what is stored with the notebook is the last picture, not the first
    held_out = [tasks.encode(base.tokenizer, example) for example in task.held_out[:JUDGED]]
    return Taught(base, film, trained, held_out, fast)


class Film:
    """What a run looked like, step by step: its losses, and one question's answer every few steps, kept in `file`."""

    def __init__(
        self, base: models.Base, question: str, steps: int, every: int, file: Path, fresh: bool = False
    ) -> None:
        self.base, self.question, self.steps, self.every, self.file = base, question, steps, every, file
        self.losses: list[float] = []
        fresh = fresh or bool(os.environ.get("LORA_LESSONS_FRESH"))
        self.answers: dict[str, str] = {} if fresh else _kept(file)
        self.answer("0")
        title = f"Loss of each of {steps} training steps (lower: less surprised)"
        self._backdrop, self._ax = _axes(title, (0, 1.02 * steps), "step", range(0, steps + 1, every))
        self.stage = Told(self.told, self.scene, "step", [slider("step", "after step")], name="door", step=0)
        self.stage.follow = True

    def hear(self, story: training.Training) -> None:
        """Take in a run's story so far; ask again where it is time to."""
        self.losses, taken = list(story.losses), len(story.losses)
        if taken % self.every == 0 or taken == self.steps:
            self.answer(str(taken))
        self.stage.values = {"step": taken}

    def answer(self, when: str) -> str:
        """The model's answer now, or the one kept from the time when it was first asked."""
        if when not in self.answers:
            self.answers[when] = models.chat(self.base, self.question, max_new_tokens=WORDS)
            with whole_file(self.file) as temporary:
                temporary.write_bytes(gzip.compress(json.dumps(self.answers).encode()))
        return self.answers[when]

    def scene(self, step: int) -> Scene:
        """The steps so far: at each stop the curve up to there, and the newest answer that was given by then."""
        stops = list(range(len(self.losses) + 1))
        if step not in stops:
            raise ValueError(f"step {step} is not recorded: choose 0 to {stops[-1]}.")
        heights = [min(loss, TOP) for loss in self.losses]
        scene = Scene(self._backdrop, stops, [self.words(n) for n in stops])
        scene.line(self._ax, [list(range(1, len(heights) + 1))], [heights], FAINT, width=1.5)
        curves = [(list(range(1, n + 1)), heights[:n]) for n in stops]
        scene.line(self._ax, [x for x, _ in curves], [y for _, y in curves], BLUE)
        at = [heights[max(0, n - 1)] if heights else TOP for n in stops]
        scene.dot(self._ax, [max(1, n) for n in stops], at, [BLUE if n else "none" for n in stops])
        labels = ["before training", *(f"loss {loss:.2f}" for loss in self.losses)]
        scene.text(self._ax, 0.02 * self.steps, 0.6, labels, BLUE, size=12)
        return scene

    def told(self) -> list[str]:
        """The question, and each answer with the loss of the step before it."""
        asked = sorted(int(when) for when in self.answers if when.isdigit() and int(when) <= len(self.losses))
        heads = [f"After step {n}, loss {self.losses[n - 1]:.2f}" if n else "Before training" for n in asked]
        answers = [_one_line(self.answers[str(n)]) for n in asked]
        return [f"You: {self.question}", *(f"{head}: {answer}" for head, answer in zip(heads, answers, strict=True))]

    def words(self, step: int) -> str:
        """How far it is, the question, the answer before training, and the newest one by then."""
        asked = max((int(when) for when in self.answers if when.isdigit() and int(when) <= step), default=0)
        loss = f", loss {self.losses[step - 1]:.2f}" if step else ""
        when = f" (asked after step {asked})" if asked != step else ""
        before = f"Before training: {_one_line(self.answers['0'])}\n" if asked else ""
        newest = _one_line(self.answers[str(asked)])
        return f"After {step} of {self.steps} steps{loss}.\nYou: {self.question}\n{before}Model{when}: {newest}"


@dataclass
class Taught:
    """A base with the adapter that was trained before your eyes."""

    base: models.Base
    film: Film
    training: training.Training
    held_out: list[tasks.Encoded]
    autocast: bool

    def scales(self) -> Stage:
        """A slider from the base (0) to the trained model (1); the answers are worked out now, and shown at once later.

        Until it is there, a line says which scale is being asked.
        """
        self.losses, self.answers = [], []
        try:
            for number, scale in enumerate(SCALES, 1):
                _say(f"Asking at scale {scale:g}: {number} of {len(SCALES)} …")
                lora.set_scale(self.base.model, scale)
                when = {0.0: "0", 1.0: str(self.film.steps)}.get(scale, f"scale {scale:g}")
                self.answers.append(self.film.answer(when))
                self.losses.append(evaluation.held_out_loss(self.base.model, self.held_out, autocast=self.autocast))
        finally:
            lora.set_scale(self.base.model, 1.0)
        _say("")
        controls = [slider("scale", "scale of the adapter", SCALES)]
        return Told(self.told, self._scene, "scale", controls, name="door_scales", scale=1.0)

    def told(self) -> list[str]:
        """The question, and the answer and the loss at each scale."""
        each = zip(SCALES, _NOTES, self.losses, self.answers, strict=True)
        lines = [f"Scale {s:g}{note}, loss {loss:.2f}: {_one_line(answer)}" for s, note, loss, answer in each]
        return [f"You: {self.film.question}", *lines]

    def _scene(self, scale: float) -> Scene:
        if scale not in SCALES:
            raise ValueError(f"scale {scale} has no answer here: choose {', '.join(f'{s:g}' for s in SCALES)}.")
        title = f"Loss on {JUDGED} conversations that it never saw (lower: more like WICK)"
        backdrop, ax = _axes(title, (-0.04, 1.04), "scale of the adapter", SCALES)
        ax.plot(SCALES, self.losses, color=GREEN)
        ax.plot(SCALES, self.losses, "o", color=GREEN, ms=5)
        words = [
            f"Scale {s:g}{note}: loss {loss:.2f}.\nYou: {self.film.question}\nModel: {_one_line(answer)}"
            for s, note, loss, answer in zip(SCALES, _NOTES, self.losses, self.answers, strict=True)
        ]
        scene = Scene(backdrop, list(SCALES), words)
        scene.dot(ax, list(SCALES), self.losses, ORANGE, size=14)
        return scene

    def _both(self, question: str) -> tuple[str, str]:
        """What the base answers, and what the trained model does. Nothing is trained."""
        try:
            lora.set_scale(self.base.model, 0.0)
            without = models.chat(self.base, question, max_new_tokens=WORDS)
        finally:
            lora.set_scale(self.base.model, 1.0)
        return _one_line(without), _one_line(models.chat(self.base, question, max_new_tokens=WORDS))

    def ask(self, question: str = "") -> None:
        """Print both answers to another question."""
        if not question.strip():
            print('Write a question between quotes: wick.ask("What should I cook tonight?")')
            return
        without, with_it = self._both(question)
        print(f"You: {question}\nThe base: {without}\nWith the adapter: {with_it}")

    def chat(self, *questions: str) -> ChatBox:
        """A chat box for any question, in which the film's and `questions` stand answered, without the adapter and
        with it."""
        film = self.film.answers["0"], self.film.answers[str(self.film.steps)]
        answers = {self.film.question: film, **{one: self._both(one) for one in questions}}
        opening = turns(*({question: _one_line(both[n]) for question, both in answers.items()} for n in (0, 1)))
        return chat_box(self.base, opening, WORDS, recorded=opening)

    def keep(self) -> Path:
        """Save the adapter to a folder of the learner's own, say where, how large it is and how a terminal asks it."""
        folder = save_adapter(self.base.model, my_folder("adapters/wick"), self.base.name, origin="lesson 00")
        # a progress file in a place of its own: a test, or a run of the whole course
        elsewhere = "LORA_LESSONS_PROGRESS" in os.environ
        place = str(folder.relative_to(folder.parents[1]) if elsewhere else folder).replace(str(Path.home()), "~")
        print(f"Yours: {place}/{ADAPTER_WEIGHTS}, {megabytes(folder):.1f} MB")
        print(f'In a terminal: lora-lessons ask {place} "{self.film.question}"')
        return folder


class Told(Stage):
    """A stage of one scene: a page without a kernel plays it again, and its still says all that `told` tells."""

    def __init__(self, told: Callable[[], list[str]], *args: Any, name: str, **values: Any) -> None:
        super().__init__(*args, **values)
        self._told, self._called = told, name

    def still(self) -> tuple[Figure, str]:
        return super().still()[0], "\n".join(self._told())

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            stops = self.scene["stops"]
            unheld = {
                self.axis: f"This is a recording: it has stops from {stops[0]:g} to {stops[-1]:g}; use the slider."
            }
            kept = {"name": self._called, "answers": {"unheld": unheld}}
            bundle[0][SCENE] = whole_stage(self, recorded_on()) | kept
        return bundle


_NOTES = (" (the base alone)", "", "", "", " (as trained)")


def megabytes(folder: Path) -> float:
    """The size of an adapter's file of weights."""
    return (folder / ADAPTER_WEIGHTS).stat().st_size / 1e6


def _axes(title: str, across: tuple[float, float], xlabel: str, ticks: Iterable[float]) -> tuple[Backdrop, Any]:
    figure = Figure(figsize=(8.4, 1.9))
    ax = figure.subplots()
    ax.set_xticks(list(ticks))
    ax.set(xlim=across, ylim=(0, TOP), title=title, xlabel=xlabel, ylabel="loss (nats)")
    return Backdrop(figure, (2.1,)), ax


def _kept(file: Path) -> dict[str, str]:
    try:
        answers = json.loads(gzip.decompress(file.read_bytes()))
        return {str(when): str(answer) for when, answer in answers.items()}
    except (OSError, EOFError, ValueError, AttributeError, RecursionError, zlib.error):
        return {}  # there are none, or damaged ones, as gzip's checksum tells: they are asked for again


def _one_line(answer: str) -> str:
    """An answer without its line ends; one that was cut ends with " …"."""
    line = " ".join(answer.split())
    return line if line.endswith((".", "!", "?", "”", '"', "…")) else f"{line} …"


def _say(words: str) -> None:
    """One line in a notebook, which the next one, or what the cell shows, takes the place of."""
    from IPython.core.getipython import get_ipython
    from IPython.display import clear_output

    if get_ipython():
        clear_output(wait=True)
        if words:
            print(words)


def _display(stage: Stage) -> Any:
    """Show `stage` now; the handle that shows it again. None where there is no notebook."""
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    return display(stage, display_id=True) if get_ipython() else None
