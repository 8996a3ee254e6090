"""The scale lab: choose method, r, α and learning rate, and see what the sweep measured.

`…_scene` works everything out, and controls stand over it; also on the web.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure

from ... import lora
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREY, PURPLE, SKY, VERMILION
from .measured import Tried, losses_shown, measured, nearest, places

if TYPE_CHECKING:
    from ...course.stage import Stage


REFERENCE = (8, 16.0)  # the r and alpha that a fair fight holds to: lesson 03's
FAIR = ("off: α as set", "same scale", "same push")
RATES = (0.001, 0.002, 0.004, 0.008, 0.016)


class _Lab(NamedTuple):
    """The lab's backdrop, its two axes, and where on the left one a measured setting stands."""

    backdrop: Backdrop
    left: Any
    right: Any
    place: Callable[[Tried], tuple[float, float]]


def _lab(table: Path | None) -> _Lab:
    return _lab_of(measured(table))


@cache
def _lab_of(every: tuple[Tried, ...]) -> _Lab:
    """Every measured setting as a dot above its push, a line a learning rate; and every loss curve, in grey."""
    figure = Figure(figsize=(9.4, 4.2))
    left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
    low, high = losses_shown(every)
    top = high + 0.14 * (high - low)  # the strip for what is higher
    where = places(every, top)
    rates = sorted({m.learning_rate for m in every})
    colors = dict(zip(rates, (BLUE, "black", PURPLE) if len(rates) > 2 else ("black", PURPLE), strict=False))
    for rate in rates:
        color, of_rate = (
            colors.get(rate, GREY),
            sorted((m for m in every if m.learning_rate == rate), key=lambda m: m.push),
        )
        means = {push: fmean(m.loss.mean for m in ms) for push, ms in groupby(of_rate, key=lambda m: m.push)}
        left.plot(list(means), [min(mean, top) for mean in means.values()], color=color, lw=1.4, alpha=0.45)
        spots = [where[m] for m in of_rate]
        left.plot([x for x, _ in spots], [y for _, y in spots], "o", color=color, ms=5)
        name = {"xytext": (10, 0), "textcoords": "offset points", "va": "center", "size": 10}
        left.annotate(f"rate {rate:g}", max(spots), color=color, weight="bold", **name)
    for n, m in enumerate(sorted((m for m in every if m.loss.mean > top), key=lambda m: where[m])):
        side = {"ha": "left" if n else "right", "xytext": (6 if n else -6, 0), "textcoords": "offset points"}
        left.annotate(
            f"{m.loss.mean:.2f}", where[m], va="center", size=9, color=colors.get(m.learning_rate, GREY), **side
        )
    for m in every:
        right.plot(range(1, len(m.curve) + 1), m.curve, color="#d0d4d8", lw=1)
    pushes = sorted({m.push for m in every})
    ticks = [2.0**n for n in range(-8, 16) if pushes[0] <= 2.0**n <= pushes[-1]]
    left.set(xscale="log", xlim=(pushes[0] / 1.5, pushes[-1] * 3))
    left.set_ylim(low - 0.12 * (high - low), high + 0.36 * (high - low))
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set(xlabel="push: scale × r, which in LoRA is α", ylabel="held-out loss (nats)")
    left.set_title("At one rate, the loss follows the push")
    right.set(xlabel="step", title="Training loss (nats)")
    return _Lab(Backdrop(figure, (3.4, 2.4)), left, right, where.__getitem__)


def scale_lab_scene(
    method: str, r: int, lora_alpha: float, learning_rate: float, fair: str = FAIR[0], table: Path | None = None
) -> Scene:
    """Where a setting lies among the measured ones, for every rank; the nearest of them is ringed, and said to be so.

    In a fair fight α follows the rank, so that the scale, or the push, stays REFERENCE's. Raises ValueError for what
    cannot be.
    """
    if method not in ("LoRA", "rsLoRA") or fair not in FAIR:
        raise ValueError(f"method is LoRA or rsLoRA, fair one of {', '.join(FAIR)}; got {method!r} and {fair!r}.")
    lora.check_settings(whole("rank r", r), lora_alpha, 576, 576)
    if not isinstance(learning_rate, (int, float)) or not 0 < learning_rate < 1:
        raise ValueError(f"a learning rate lies between 0 and 1, such as 0.004; got {learning_rate!r}.")
    every = measured(table)
    stops = sorted({m.r for m in every} | {r})
    over = [1 / lora.scale(stop, 1, use_rslora=method == "rsLoRA") for stop in stops]  # what divides α
    r0, alpha0 = REFERENCE
    held = {FAIR[1]: [alpha0 / r0] * len(stops), FAIR[2]: [alpha0 / stop for stop in stops]}
    scales = held.get(fair, [lora_alpha / below for below in over])
    alphas = [scale * below for scale, below in zip(scales, over, strict=True)]
    nearby = [nearest(stop, scale, learning_rate, every) for stop, scale in zip(stops, scales, strict=True)]
    words = [
        (
            f"{method}, r = {stop}, α = {alpha:.4g}, learning rate {learning_rate:g}: scale "
            f"α/{'√r' if method == 'rsLoRA' else 'r'} = {scale:.3g}. "
        )
        + _measured_words(*near)
        for stop, alpha, scale, near in zip(stops, alphas, scales, nearby, strict=True)
    ]
    lab = _lab(table)
    scene = Scene(lab.backdrop, stops, words, locked=["lora_alpha"] if fair in held else [])
    colors, (bottom, top) = [VERMILION if exact else GREY for _, exact in nearby], lab.left.get_ylim()
    pushes = [scale * stop for scale, stop in zip(scales, stops, strict=True)]
    below_words = bottom + 0.9 * (top - bottom)
    scene.line(lab.left, [[push, push] for push in pushes], [[bottom, below_words]] * len(stops), SKY)
    rings = [lab.place(m) for m, _ in nearby]
    scene.dot(lab.left, [x for x, _ in rings], [y for _, y in rings], colors, size=15, hollow=True)
    scene.line(lab.right, [range(1, len(m.curve) + 1) for m, _ in nearby], [m.curve for m, _ in nearby], VERMILION)
    labels = ["measured" if exact else "nearest measured" for _, exact in nearby]
    numbers = zip(scales, pushes, labels, nearby, strict=True)
    corner = [f"scale {scale:.3g}, push {push:.3g}; {word}: r = {m.r}" for scale, push, word, (m, _) in numbers]
    _corner(scene, lab.left, corner, colors)
    beside = [
        f"{word}:\nheld-out {m.loss.mean:.3f}\n‖ΔW‖/‖W‖ {m.update:.2%}"
        for word, (m, _) in zip(labels, nearby, strict=True)
    ]
    _corner(scene, lab.right, beside, colors)
    return scene


def _corner(scene: Scene, ax: Any, text: Sequence[str], color: Sequence[str]) -> None:
    """Words in the upper right corner of `ax`, whatever its axes show."""
    ax.get_ylim()  # settles the limits
    x, y = (ax.transAxes + ax.transData.inverted()).transform((0.98, 0.97))
    scene.text(ax, x, y, text, color, ha="right", va="top")


def _measured_words(m: Tried, exact: bool) -> str:
    where = (
        "Measured: the"
        if exact
        else f"Not measured. The nearest setting that was has r = {m.r}, scale {m.scale:.3g} and learning rate "
        f"{m.learning_rate:g}: there the"
    )
    return (
        f"{where} held-out loss is {m.loss.mean:.3f} nats (95% interval {m.loss.low:.2f} to {m.loss.high:.2f} over "
        f"{m.loss.seeds} seeds), and ‖ΔW‖/‖W‖ is {m.update:.2%}."
    )


def scale_lab(table: Path | None = None) -> Stage:
    """Move r, α and the learning rate, as LoRA or rsLoRA, and hold the scale or the push for a fair fight."""
    every = measured(table)
    controls = [
        choice("method", "method", ["LoRA", "rsLoRA"]),
        slider("r", "rank r"),
        slider("lora_alpha", "α", [1, 2, 4, 8, 16, 32, 64, 128]),
        slider("learning_rate", "learning rate", sorted({*RATES, *(m.learning_rate for m in every)})),
        choice("fair", "hold equal", FAIR),
    ]
    compose = partial(scale_lab_scene, table=table)
    return Stage(compose, "r", controls, method="LoRA", r=8, lora_alpha=16, learning_rate=0.004, fair=FAIR[0])


def _scale_lab() -> Stage:

    return scale_lab()


live("scale_lab", "widget.scale_lab()", _scale_lab, controls=5, ends=True)
