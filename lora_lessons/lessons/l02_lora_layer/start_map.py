"""The map of the smallest LoRA: drag the start (a, b), and see where gradient descent goes from there.

`…_scene` works everything out, `…_still` draws it, and two sliders stand over it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.stage import Backdrop, Scene, Stage, slider
from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label
from . import two_numbers

EDGE = 2.0
STARTS = [round(i / 10, 1) for i in range(-20, 21)]
FLOOR = 1e-3  # the loss curve's lower end: what lies below is drawn there


@cache
def _map() -> tuple[Backdrop, Axes, Axes]:
    """The loss over (a, b) as a map, and empty axes for the loss at each step."""
    figure = Figure(figsize=(8.8, 4.3))
    ground, curve = figure.subplots(1, 2, width_ratios=(1.15, 1))
    side = np.linspace(-EDGE - 0.2, EDGE + 0.2, 241)
    losses = two_numbers.loss(*np.meshgrid(side, side))
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
    steps = two_numbers.STEPS
    curve.axhline(two_numbers.loss(0, 0), color=GREY, lw=1, ls="--")
    label(curve, steps, two_numbers.loss(0, 0), "untrained", GREY, xytext=(0, 9), ha="right")
    curve.set(yscale="log", ylim=(FLOOR, 40), xlim=(0, steps), xlabel="step", title="The loss on the way (log)")
    curve.set_yticks(ticks := (0.001, 0.01, 0.1, 1, 10), ["≤ 0.001", *(f"{tick:g}" for tick in ticks[1:])])
    curve.minorticks_off()
    return Backdrop(figure), ground, curve


def start_map_scene(a: float, b: float) -> Scene:
    """The path of gradient descent from (a, b), for every a on the slider and this b.

    Raises ValueError with what to type when a start is off the map.
    """
    a, b = _on_the_map("a", a), _on_the_map("b", b)
    backdrop, ground, curve = _map()
    stops = sorted({*STARTS, a})
    ways = [two_numbers.descend(stop, b) for stop in stops]
    scene = Scene(backdrop, stops, [two_numbers.story(way) for way in ways])
    scene.line(ground, [way.a for way in ways], [way.b for way in ways], BLUE, 2.6)
    scene.dot(ground, [way.a[-1] for way in ways], [way.b[-1] for way in ways], BLUE, size=8)
    scene.dot(ground, stops, b, ORANGE, size=13)
    scene.text(ground, stops, b - 0.24 if b > 1.7 else b + 0.24, "start", "#8a5f00", ha="center")
    steps = range(two_numbers.STEPS + 1)
    scene.line(curve, [steps] * len(ways), [np.clip(way.loss, FLOOR, None) for way in ways], BLUE, 2.6)
    scene.grab(ground, ("a", stops), ("b", STARTS))
    return scene


def _on_the_map(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -EDGE <= value <= EDGE:
        raise ValueError(f"{name} starts between −{EDGE:g} and {EDGE:g}, where the map ends; got {value!r}.")
    return value


def start_map_still(a: float, b: float) -> tuple[Figure, str]:
    """The picture of `start_map_scene` from this start, and its sentences."""
    return start_map_scene(a, b).still(a)


def start_map() -> Stage:
    """Drag the orange dot, or move the two sliders: where does gradient descent go from there?"""
    controls = [slider("a", "start: a"), slider("b", "start: b", STARTS)]
    return Stage(start_map_scene, "a", controls, a=0.5, b=0.0)
