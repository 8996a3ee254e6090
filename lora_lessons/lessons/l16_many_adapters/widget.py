"""How many adapters fit beside one base? Choose a model, its format, a card, and slide the rank.

`…_scene` works everything out, `…_still` draws it, and controls stand over it.
"""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ... import memory, models
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREY, VERMILION, label
from ...tools import planning
from . import fits

RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
HUNDRED = 100  # the lesson's number


def many_fit_scene(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> Scene:
    """How many adapters fit at every rank: a line, a dot at the rank chosen, a hundred, and the merged models.

    Raises ValueError with what to change when not even the base fits, or a setting cannot be.
    """
    stops = sorted({*RANKS, whole("rank r", r)})
    found = [fits.fit(model, form, targets, card, texts_gb, stop) for stop in stops]
    counts = [one.adapters for one in found]
    drawn = [max(count, 0.5) for count in counts]  # a logarithmic axis has no zero
    figure = Figure(figsize=(8.4, 3.6))
    ax: Any = figure.subplots()
    ax.plot(stops, drawn, color=BLUE, lw=2)
    merged = found[0].merged
    ax.axhline(merged, color=VERMILION, lw=1.6, ls="--")
    label(ax, stops[0], merged, f"merged models: {merged:,}", VERMILION, xytext=(4, 9))
    ax.axhline(HUNDRED, color=GREY, lw=1.2, ls=":")
    label(ax, 2.6 * stops[-1], HUNDRED, "a hundred", GREY, xytext=(0, 8), ha="right")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="rank r (log)",
        ylabel="how many fit (log)",
        ylim=(0.4, 4 * max(*drawn, HUNDRED)),
    )
    ax.set_xlim(stops[0] / 1.3, 4 * stops[-1])
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_xticks(stops, [f"{stop}" for stop in stops])
    ax.minorticks_off()
    ax.set_title(f"Adapters beside one base on {card}", color=GREY)
    words = [_words(model, form, targets, card, texts_gb, stop, one) for stop, one in zip(stops, found, strict=True)]
    scene = Scene(Backdrop(figure), stops, words)
    scene.dot(ax, stops, drawn, BLUE, size=13)
    right, above = [1.2 * stop for stop in stops], [1.6 * count for count in drawn]
    scene.text(ax, right, above, [f"{count:,} adapters" for count in counts], BLUE)
    return scene


def _words(model: str, form: str, targets: str, card: str, texts_gb: float, r: int, one: fits.Fit) -> str:
    free, texts = one.free / memory.GB, f"with {texts_gb:g} GB kept for texts in progress, " if texts_gb else ""
    return (
        f"{model} in {form} takes {one.base / memory.GB:.1f} GB of the {one.card / memory.GB:.1f} GB of {card}; {texts}"
        f"{free:.1f} GB are free. An adapter of rank {r} on {targets} takes {_size(one.adapter)}, so {one.adapters:,} fit "
        f"beside the base. Of merged models, each as large as the base, the same memory holds {one.merged:,}."
    )


def _size(number: float) -> str:
    """Bytes as MB, or GB where there are many."""
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / memory.GB:.1f} GB"


def many_fit_words(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> str:
    """The sentences of `many_fit_scene` at rank r."""
    return _words(model, form, targets, card, texts_gb, r, fits.fit(model, form, targets, card, texts_gb, r))


def many_fit_still(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> tuple[Figure, str]:
    """The picture of `many_fit_scene` at rank r, and its sentences."""
    return many_fit_scene(model, form, targets, card, texts_gb, r).still(r)


MANY = {
    "model": "Llama-2-7B",
    "form": "16 bits",
    "targets": "all linear layers",
    "card": "RTX 4090",
    "texts_gb": 4,
    "r": 8,
}


def many_fit() -> Stage:
    """Choose model, format, targets and card, keep room for texts, and slide the rank."""
    controls = [
        choice("model", "model", list(models.SHAPES)),
        choice("form", "format", list(fits.FORMATS)),
        choice("targets", "targets", list(fits.TARGETS)),
        choice("card", "card", list(planning.CARDS)),
        slider("texts_gb", "GB for texts", fits.TEXTS_GB),
        slider("r", "rank r"),
    ]
    return Stage(many_fit_scene, "r", controls, **MANY)
