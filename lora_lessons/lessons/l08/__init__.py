"""Lesson 08: Will a real 7B train on my card?

After it, the learner can train a 7B, or say beforehand why not.
"""

# The widget "will it fit": `fit_scene` works everything out, and controls stand over it. At the end: the exercises.

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from matplotlib.figure import Figure

from ... import memory, models, planning
from ...course.exercises import answered, exercise, one_number, tried, wrong_if, wrong_like
from ...course.figures import BILL_COLORS
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREEN, SKY, VERMILION, ink, label

# Imported here because they register themselves.
from . import faster as faster
from . import many_cards as many_cards
from .faster import packed as packed
from .faster import taught_loss as taught_loss
from .many_cards import journey as journey

LENGTHS = sorted({round(2 ** (n / 4)) for n in range(4 * 5, 4 * 17 + 1)})  # tokens: 32 … 131,072
ON = {"on": True, "off": False}
RECIPES = {"TRL": "trl", "Trainer": "hf", "this course": "course"}


@cache
def _made_for(model: str) -> int:
    """The longest text, in tokens, that a shape was made for."""
    config: Any = models.shape(model).config
    return int(config.max_position_embeddings)


@lru_cache(maxsize=64)  # the same before every card that computes in the same 16 bits
def _ledgers(model: str, job: memory.Job, tokens: tuple[int, ...]) -> list[memory.Ledger]:
    return memory.ledgers(model, job, tokens)


def _fit_words(card: str, about: str, ledger: memory.Ledger, longest: int, made_for: int) -> str:
    room, total = planning.card_bytes(card), ledger.bill.total
    named = {name.replace(", ", " and "): part for name, part in ledger.bill.parts.items() if part}
    parts = ", ".join(f"{name} {_size(part / memory.GB)}" for name, part in named.items())
    later = f" {LATER}" if _more_gradients(ledger.bill) else ""
    length = f"the longest text that fits is {longest:,} tokens" if longest else "not even 32 tokens fit"
    more = f" (the model was made for {made_for:,})" if longest > made_for else ""
    return (
        f"On paper, {about}: {total / memory.GB:.1f} GB at the peak of a step, which is "
        f"{planning.SAID[ledger.moment]}. "
        f"That is {parts}.{later} "
        f"{card} holds {room / memory.GB:.1f} GB, and a sixth should stay free. It "
        f"{_fits(room / memory.GB, total / memory.GB)}; of the lengths on the slider, {length}{more}."
    )


@cache
def _fit_backdrop(card: str, width: float) -> tuple[Backdrop, Any]:
    """One row for each part of a bill and one for their sum, before the room of a card; `width` GB across."""
    room = planning.card_bytes(card) / memory.GB
    figure = Figure(figsize=(8.4, 3.5))
    ax = figure.subplots()
    names = [*BILL_COLORS, "all together"]
    ax.set(xlim=(0, width), ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), names)
    for tick, color in zip(ax.get_yticklabels(), (*BILL_COLORS.values(), "black"), strict=True):
        tick.set(color=ink(color), weight="bold")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter("{x:g} GB")
    ax.grid(axis="y", visible=False)
    ax.set_title(" ")  # keeps the room where the verdict stands
    ax.axvspan(0, room, color=SKY, alpha=0.18, lw=0)
    ax.axvline(room, color=BLUE, lw=2)
    label(ax, room, -0.35, f"{card}: {room:.1f} GB", BLUE)
    return Backdrop(figure, (3.4,)), ax


def fit_scene(
    model: str, recipe: str, method: str, card: str, r: int, batch_size: int, gradient_checkpointing: str, seq: int
) -> Scene:
    """The bill of one training step part by part, each bar beginning where the last one ends, for every length.

    Lengths are those of LENGTHS and `seq`. Raises ValueError with what to change when a setting cannot be.
    """
    room = planning.card_bytes(card) / memory.GB
    known: dict[str, Collection[str]] = {"model": models.SHAPES, "recipe": RECIPES, "method": memory.METHODS}
    for (name, names), value in zip(known.items(), (model, recipe, method), strict=True):
        if value not in names:
            raise ValueError(f"{name} {value!r} is not known: choose one of {', '.join(names)}.")
    stops = sorted({*LENGTHS, whole("sequence length", seq)})
    job = memory.Job(
        method,
        whole("rank r", r),
        batch_size=whole("batch", batch_size),
        seq=stops[-1],
        gradient_checkpointing=ON[gradient_checkpointing],
        # the plain AdamW would hold one more copy of all that trains during its step
        optimizer="adamw_fused" if method in memory.FULL else "adamw",
    )
    jobs = [replace(job, seq=length) for length in stops]  # refuses a length that cannot be
    ledgers = _ledgers(model, planning.on_card(replace(job, recipe=RECIPES[recipe]), card), tuple(stops))
    totals = [ledger.bill.total / memory.GB for ledger in ledgers]
    width = room * next((w for w in (1.5, 3, 6, 12) if w * room >= 1.15 * totals[0]), 24)
    backdrop, ax = _fit_backdrop(card, width)
    longest = max((n for n, total in zip(stops, totals, strict=True) if planning.is_enough(room, total)), default=0)
    made_for = _made_for(model)
    words = [
        _fit_words(card, f"{model} by {recipe}, {planning.describe(one)}", ledger, longest, made_for)
        for one, ledger in zip(jobs, ledgers, strict=True)
    ]
    scene = Scene(backdrop, stops, words, locked=["r"] if method in memory.FULL else [])
    left = [0.0] * len(stops)
    for row, (name, color) in enumerate(BILL_COLORS.items()):
        sizes = [ledger.bill.parts[name] / memory.GB for ledger in ledgers]
        ends = [x + size for x, size in zip(left, sizes, strict=True)]
        starts, stops_at = ([min(x, width) for x in edge] for edge in (left, ends))
        widths = [b - a for a, b in zip(starts, stops_at, strict=True)]
        scene.bar(ax, starts, row - 0.36, widths, 0.72, color)
        scene.bar(ax, starts, len(BILL_COLORS) - 0.36, widths, 0.72, color)
        soon = [name == "gradients" and _more_gradients(ledger.bill) for ledger in ledgers]
        said = [_size(size) + " so far" * more for size, more in zip(sizes, soon, strict=True)]
        _bar_end(scene, ax, width, row, ends, said)
        left = ends
    _bar_end(scene, ax, width, len(BILL_COLORS), left, [f"{total:.1f} GB" for total in totals])
    verdicts = [_fits(room, total) for total in totals]
    colors = [GREEN if planning.is_enough(room, total) else VERMILION for total in totals]
    scene.text(ax, 0, -1.0, verdicts, colors, size=12)
    return scene


# why a bill may have 0.2 GB of adapters and next to no gradients, though each trained number gets one
LATER = "Most gradients do not exist yet at this moment: they come one block at a time, on the way back."


def _more_gradients(bill: memory.Bill) -> bool:
    """Whether the fullest moment comes before most adapters have their gradients."""
    return bill.gradients < bill.adapters / 2


def _size(gb: float) -> str:
    """A part of a bill in GB; one too small for that in MB."""
    if gb >= 0.05:
        return f"{gb:.1f} GB"
    return f"{max(1, round(1000 * gb))} MB" if gb else "0 GB"


def _fits(room: float, total: float) -> str:
    """Whether `total` GB fit into `room`, and how much is free or missing."""
    if planning.is_enough(room, total):
        return f"fits: {room - total:.1f} GB free"
    if total <= room:
        return f"does not fit safely: only {room - total:.1f} GB free"
    return f"does not fit: {total - room:.1f} GB missing"


def _bar_end(scene: Scene, ax: Any, width: float, row: int, ends: Sequence[float], texts: Sequence[str]) -> None:
    """A size behind the end of its bar; at the edge, where the bar goes on beyond it, with an arrow."""
    places = [min(end + 0.008 * width, 0.86 * width) for end in ends]
    labels = [f"{text} →" if text and end > width else text for text, end in zip(texts, ends, strict=True)]
    scene.text(ax, places, row, labels, "black")


# a job that does not fit an RTX 3060, and what makes it fit
COLLEAGUES = {
    "recipe": "trl",
    "method": "lora",
    "r": 64,
    "seq": 2048,
    "batch_size": 8,
    "gradient_accumulation_steps": 1,
    "gradient_checkpointing": False,
}
# the same as the widget's controls say it
FIT = {
    "model": "Qwen2.5-7B",
    "recipe": "TRL",
    "method": COLLEAGUES["method"],
    "card": "RTX 3060",
    "r": COLLEAGUES["r"],
    "batch_size": COLLEAGUES["batch_size"],
    "gradient_checkpointing": "off",
    "seq": COLLEAGUES["seq"],
}


def fit() -> Stage:
    """Choose model, recipe, method, card, rank, batch and checkpointing, and slide the length of the text."""
    controls = [
        choice("model", "model", list(models.SHAPES)),
        choice("recipe", "recipe", list(RECIPES)),
        choice("method", "method", memory.METHODS),
        choice("card", "card", list(planning.CARDS)),
        slider("r", "rank r", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        slider("batch_size", "batch (sequences)", [1, 2, 4, 8, 16, 32]),
        choice("gradient_checkpointing", "checkpointing", list(ON)),
        slider("seq", "length (tokens)"),
    ]
    return Stage(fit_scene, "seq", controls, **FIT)


live(
    "fit",
    "l08.fit()",
    fit,
    {
        "model": ["Llama-2-7B", "Qwen2.5-7B"],
        "card": ["8 GB", "RTX 3060", "T4", "RTX 4090"],
        "r": [8, 64],
        "batch_size": [1, 8],
        "seq": [2**n for n in range(5, 18)],
    },
    apart=("model", "recipe", "method"),
    controls=8,
)


# ---- the exercises ----


def longest_text(room: float, tokens: Sequence[int], needs: Sequence[float]) -> int:
    """Whole tokens that fit in five sixths of `room` bytes where a text of tokens[i] takes needs[i] bytes, and the plan
    is a straight line; 0 where not one does."""
    per_token = (needs[1] - needs[0]) / (tokens[1] - tokens[0])
    fixed = needs[0] - per_token * tokens[0]
    return max(0, int((room * 5 / 6 - fixed) / per_token))


@exercise("08.1", "The longest text that fits", difficulty=2, minutes=8, keeps="longest_text")
def exercise_08_1(longest: Callable[[float, tuple[int, int], tuple[float, float]], Any]) -> None:
    # 8 GB and 2 MB a token, on a card of 15 GB
    room, tokens, needs = 15e9, (500, 1500), (9e9, 11e9)
    got = one_number(longest(room, tokens, needs))
    wrong_like(
        got,
        (3500, "You filled the whole card: a sixth of it should stay free, room * 5 / 6."),
        (6250, "What does not grow with the text takes room, too: take the fixed part off before you divide."),
        (1750, "needs[0] is not the fixed part: it holds tokens[0] tokens as well."),
        (694, "One token more takes (needs[1] - needs[0]) / (tokens[1] - tokens[0]) bytes, not needs[0] / tokens[0]."),
        rtol=1e-3,
    )
    said = f"8 GB and 2 MB a token leave room for 2,250 tokens on a card of 15 GB; you gave {got:,}."
    wrong_if((not math.isclose(got, 2250, abs_tol=1), said))
    none = longest(6e9, tokens, needs)
    wrong_if((none != 0, "On a card that the fixed part alone fills, not one token fits: give 0."))
    got = longest(15.0005e9, tokens, needs)
    wrong_if((got != int(got), f"Give whole tokens, rounded down; you gave {got:,}."))


def changes() -> dict[str, Any]:
    """What makes it fit."""
    return {"method": "qlora", "gradient_checkpointing": True, "batch_size": 1, "gradient_accumulation_steps": 8}


@exercise("08.2", "Make a job fit", difficulty=2, minutes=6, keeps="changes")
def exercise_08_2(theirs: Callable[[], Any]) -> None:
    changes = answered(theirs())
    wrong_if(
        (
            not isinstance(changes, Mapping),
            f'Give a dictionary of settings, such as {{"r": 8}}; you gave {changes!r}.',
        )
    )
    for unknown in set(changes) - set(COLLEAGUES):
        wrong_if((True, f"{unknown!r} is none of your colleague's settings: {', '.join(COLLEAGUES)}."))
    plan = tried(
        lambda: planning.plan_on("Qwen2.5-7B", "RTX 3060", **COLLEAGUES | dict(changes)), (ValueError, "", "{}")
    )
    job, bill = plan.job, plan.ledger.bill
    most = max(bill.parts, key=lambda name: bill.parts[name])
    wrong_if(
        (job.recipe != "trl", "The script is TRL's: leave the recipe as it is."),
        (
            job.seq != 2048,
            f"The texts have 2,048 tokens: with seq = {job.seq:,} their ends, the answers, would be cut off.",
        ),
        (job.r != 64, "Rank 64 was asked for, and it costs little: change something that takes more."),
        (
            job.examples_per_step != 8,
            f"Eight texts should count in a step: batch_size * gradient_accumulation_steps is {job.examples_per_step}.",
        ),
        (
            not plan.fits,
            f"It needs {bill.total / memory.GB:.1f} GB where {plan.room * 5 / 6 / memory.GB:.1f} may be used. "
            f"Most of it, {_size(bill.parts[most] / memory.GB)}, is {most}: which setting makes that smaller?",
        ),
    )
