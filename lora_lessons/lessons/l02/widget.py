"""The widgets of lesson 02: the anatomy of the layer, and the map of the smallest LoRA there is.

That one has two numbers: h = (w + b·a)·x. The data want the weight 2 and w is 1, so the loss is L = (w + b·a − 2)²,
zero wherever b·a = 1. Drag the start (a, b), and see where gradient descent goes from there. `…_scene` works everything
out, and sliders stand over it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ... import lora, lowrank
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, number, slider, whole
from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label

Numbers = TypeVar("Numbers", float, np.ndarray)

FROZEN, WANTED = 1.0, 2.0
LEARNING_RATE, STEPS = 0.05, 60


class Descent(NamedTuple):
    """Where gradient descent went: `a`, `b` and the loss before the first step and after each."""

    a: list[float]
    b: list[float]
    loss: list[float]


def loss(a: Numbers, b: Numbers) -> Numbers:
    """L = (w + b·a − wanted)² for the input x = 1; of arrays, entry by entry."""
    return (FROZEN + b * a - WANTED) ** 2


def gradients(a: float, b: float) -> tuple[float, float]:
    """∂L/∂a and ∂L/∂b. Each is multiplied by the other number."""
    off = FROZEN + b * a - WANTED
    return 2 * off * b, 2 * off * a


def descend(a: float, b: float, steps: int = STEPS, learning_rate: float = LEARNING_RATE) -> Descent:
    """Plain gradient descent from (a, b)."""
    path = [(a, b)]
    for _ in range(steps):
        da, db = gradients(a, b)
        a, b = a - learning_rate * da, b - learning_rate * db
        path.append((a, b))
    return Descent([a for a, _ in path], [b for _, b in path], [loss(*at) for at in path])


def story(descent: Descent) -> str:
    """What happened on the way, in two or three sentences."""
    return _story(descent).replace("-", "−")


def _story(descent: Descent) -> str:
    a, b = descent.a[0], descent.b[0]
    da, db = gradients(a, b)
    steps, end = len(descent.a) - 1, descent.b[-1] * descent.a[-1]
    begin = f"Start a = {a:.3g}, b = {b:.3g}: ∂L/∂a = {_shown(da)}, ∂L/∂b = {_shown(db)}."
    if not da and not db and end:
        return f"{begin} The start is already in the valley: b·a = 1."
    if not da and not db:
        return f"{begin} Both gradients are zero, so nothing ever moves: the loss is {descent.loss[-1]:.2f} for good."
    first = "" if da and db else f" Only {'b' if db else 'a'} moves in the first step."
    if descent.loss[-1] < 0.01:
        arrived = next(step for step, one in enumerate(descent.loss) if one < 0.01)
        return (
            f"{begin}{first} The path reaches the valley: b·a = {end:.2f}, "
            f"and the loss is below 0.01 after step {arrived}."
        )
    if a == -b:
        return (
            f"{begin}{first} On the line b = −a both shrink together, and the path ends in the saddle: "
            f"loss {descent.loss[-1]:.2f}."
        )
    return f"{begin}{first} After {steps} steps it is still on its way: b·a = {end:.2f}, loss {descent.loss[-1]:.2f}."


def _shown(gradient: float) -> str:
    return f"{gradient:.2f}" if gradient else "0"


EDGE = 2.0
STARTS = [round(i / 10, 1) for i in range(-20, 21)]
FLOOR = 1e-3  # the loss curve's lower end: what lies below is drawn there


@cache
def _map() -> tuple[Backdrop, Axes, Axes]:
    """The loss over (a, b) as a map, and empty axes for the loss at each step."""
    figure = Figure(figsize=(8.8, 4.3))
    ground, curve = figure.subplots(1, 2, width_ratios=(1.15, 1))
    side = np.linspace(-EDGE - 0.2, EDGE + 0.2, 241)
    losses = loss(*np.meshgrid(side, side))
    levels = [0, 0.05, 0.2, 0.5, 1, 2, 4, 9, 40]
    ground.contourf(side, side, losses, levels, colors=[str(0.97 - 0.065 * n) for n in range(8)])
    ground.contour(side, side, losses, levels[1:], colors="white", linewidths=0.6)
    for half in (side[side > 0.4], side[side < -0.4]):
        ground.plot(half, 1 / half, color=GREEN, lw=2.6)
    ground.plot([0], [0], "X", color=VERMILION, ms=10, mec="white", zorder=4)
    label(ground, 0, 0, "saddle", VERMILION, xytext=(0, -13), ha="center")
    for side_of in (1, -1):
        style = {"xytext": (-4 * side_of, -9 * side_of), "ha": "right" if side_of > 0 else "left"}
        label(ground, EDGE * side_of, 0.42 * side_of, "loss 0", "#00694d", **style)
    ground.set(xlim=(-EDGE - 0.2, EDGE + 0.2), ylim=(-EDGE - 0.2, EDGE + 0.2), aspect="equal", xlabel="a", ylabel="b")
    ground.set(xticks=range(-2, 3), yticks=range(-2, 3), title="The loss: darker is higher")
    ground.grid(visible=False)
    curve.axhline(loss(0, 0), color=GREY, lw=1, ls="--")
    label(curve, STEPS, loss(0, 0), "untrained", GREY, xytext=(0, 9), ha="right")
    curve.set(yscale="log", ylim=(FLOOR, 40), xlim=(0, STEPS), xlabel="step", title="The loss on the way (log)")
    curve.set_yticks(ticks := (0.001, 0.01, 0.1, 1, 10), ["≤ 0.001", *(f"{tick:g}" for tick in ticks[1:])])
    curve.minorticks_off()
    return Backdrop(figure, (4.1, 2.4)), ground, curve


def start_map_scene(a: float, b: float) -> Scene:
    """The path of gradient descent from (a, b), for every a on the slider and this b.

    Raises ValueError with what to type when a start is off the map.
    """
    a, b = _on_the_map("a", a), _on_the_map("b", b)
    backdrop, ground, curve = _map()
    stops = sorted({*STARTS, a})
    ways = [descend(stop, b) for stop in stops]
    scene = Scene(backdrop, stops, [story(way) for way in ways])
    scene.line(ground, [way.a for way in ways], [way.b for way in ways], BLUE, 2.6)
    scene.dot(ground, [way.a[-1] for way in ways], [way.b[-1] for way in ways], BLUE, size=8)
    scene.dot(ground, stops, b, ORANGE, size=13)
    scene.text(ground, stops, b - 0.24 if b > 1.7 else b + 0.24, "start", "#8a5f00", ha="center")
    steps = range(STEPS + 1)
    scene.line(curve, [steps] * len(ways), [np.clip(way.loss, FLOOR, None) for way in ways], BLUE, 2.6)
    scene.grab(ground, ("a", stops), ("b", STARTS))
    return scene


def _on_the_map(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -EDGE <= value <= EDGE:
        raise ValueError(f"{name} starts between −{EDGE:g} and {EDGE:g}, where the map ends; got {value!r}.")
    return value


def start_map() -> Stage:
    """Drag the orange dot, or move the two sliders: where does gradient descent go from there?"""
    controls = [slider("a", "start: a"), slider("b", "start: b", STARTS)]
    return Stage(start_map_scene, "a", controls, a=0.5, b=0.0)


def layer_anatomy_scene(d: int, k: int, r: int, lora_alpha: float) -> Scene:
    """W (d×k), and B (d×r) and A (r×k) at the edges of their product, to one scale; beside it what they cost.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    layer_anatomy_words(d, k, r, lora_alpha)
    stops = sorted({*range(1, min(d, k, 512) + 1), r})
    figure = Figure(figsize=(8.4, 3.6))
    figure.set_layout_engine("none")
    ax, share = figure.add_axes((0, 0, 0.58, 0.92)), figure.add_axes((0.66, 0.17, 0.32, 0.69))
    gap, edge = 0.55 * max(d, k), 0.02 * max(d, k)
    right = k + gap + stops[-1] + edge  # where the product begins; B grows to the left of it, and A above it
    words = 0.2 * (d + stops[-1])  # room for two lines, below and above
    ax.set(xlim=(-gap / 4, right + k + gap / 4), ylim=(-words, d + edge + stops[-1] + words), aspect="equal")
    ax.axis("off")
    ax.add_patch(Rectangle((0, 0), k, d, edgecolor=GREY, facecolor="#dfe1e3", lw=0.8))
    ax.add_patch(Rectangle((right, 0), k, d, edgecolor=BLUE, facecolor="none", lw=0.8, ls=":"))
    below = {"xytext": (0, -5), "ha": "center", "va": "top"}
    label(ax, k / 2, 0, f"W (frozen)\n{d:,}×{k:,}", GREY, **below)
    label(ax, right + k / 2, d / 2, "B·A", BLUE, xytext=(0, 0), ha="center")
    figure.text(0.02, 0.93, "h = W·x + α/r · B·(A·x), to one scale", weight="bold")
    percent = [100 * lowrank.stored_numbers(d, k, stop) / (d * k) for stop in stops]
    share.plot(stops, percent, color=BLUE)
    share.axhline(100, color=GREY, lw=1.2, ls="--")
    label(share, 0, 100, "as many as W", GREY, xytext=(4, 8))
    share.set(xlim=(-0.02 * stops[-1], 1.04 * stops[-1]), ylim=(-3, max(122, 1.1 * percent[-1])), xlabel="rank r")
    share.set_title("A and B: numbers, % of W's", size=11)
    places = [(0, 0.4, 1, 0.55), (0.14, 0.09, 0.82, 0.24)]
    backdrop = Backdrop(figure, (5.4,), places)
    scene = Scene(backdrop, stops, [layer_anatomy_words(d, k, stop, lora_alpha) for stop in stops])
    left_B = [right - edge - stop for stop in stops]
    plus = [f"+ {lora.scale(stop, lora_alpha):.3g} ×" for stop in stops]
    scene.text(ax, [(k + left) / 2 for left in left_B], d / 2, plus, "black", ha="center")
    scene.bar(ax, left_B, 0, stops, d, BLUE)
    scene.bar(ax, right, d + edge, k, stops, BLUE)
    under = [f"B\n{d:,}×{stop:,}" for stop in stops]
    scene.text(ax, [left + stop / 2 for left, stop in zip(left_B, stops, strict=True)], -edge, under, BLUE, **CENTERED)
    over, tops = [f"A\n{stop:,}×{k:,}" for stop in stops], [d + 2 * edge + stop for stop in stops]
    scene.text(ax, right + k / 2, tops, over, BLUE, ha="center", va="bottom")
    scene.dot(share, stops, percent, BLUE, size=11)
    return scene


CENTERED: dict[str, Any] = {"ha": "center", "va": "top"}


def layer_anatomy_words(d: int, k: int, r: int, lora_alpha: float) -> str:
    """The scene's numbers in sentences: counts, share, bytes in 16-bit, FLOPs of one token's forward pass.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    if min(whole("d", d), whole("k", k)) < 1:
        raise ValueError(f"a weight is d×k with d and k of at least 1; got {d}×{k}.")
    lora.check_settings(r, lora_alpha, d, k)
    frozen, trained = d * k, lowrank.stored_numbers(d, k, r)
    return (
        f"W holds {frozen:,} numbers; A and B together hold {trained:,}, {trained / frozen:.2%} of that. "
        f"In 16-bit they take {2 * trained / 1e3:,.1f} kB, where W takes {2 * frozen / 1e3:,.1f} kB. One token costs "
        f"{2 * frozen / 1e6:,.2f} million operations through W and {2 * trained / 1e6:,.3f} million through A and B. "
        f"The scale α/r is {lora.scale(r, lora_alpha):.3g}."
    )


def layer_anatomy() -> Stage:
    """Move r, type d, k and α; impossible values are answered with what to change."""
    controls = [number("d", "d (outputs)"), number("k", "k (inputs)"), slider("r", "rank r"), number("lora_alpha", "α")]
    return Stage(layer_anatomy_scene, "r", controls, d=1536, k=576, r=8, lora_alpha=16)


SIDES = [576, 1536, 4096]  # the base's two, and a 7B's


live("start_map", "widget.start_map()", start_map, {"b": [round(n / 5, 1) for n in range(-10, 11)]}, controls=2)
live(
    "layer_anatomy",
    "widget.layer_anatomy()",
    layer_anatomy,
    {
        "d": SIDES,
        "k": [576, 4096],
        "lora_alpha": [8, 16, 32],
        "r": [*range(1, 65), *range(72, 129, 8), *range(160, 513, 32)],
    },
    controls=4,
    ends=True,
)
