"""The anatomy of the layer: slide r, type d, k and α, and see W, B and A to scale. (The other widget: start_map.py.)

`…_scene` works everything out, `…_still` draws it, and controls stand over it.
"""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ... import lora, lowrank
from ...course.stage import Backdrop, Scene, Stage, number, slider, whole
from ...drawing import BLUE, GREY, ORANGE, label
from .start_map import start_map as start_map


def layer_anatomy_scene(d: int, k: int, r: int, lora_alpha: float) -> Scene:
    """W (d×k), B (d×r) and A (r×k) drawn to one scale for every rank up to 512, with what they cost.

    Raises ValueError with what to change when the sizes or settings cannot work.
    """
    layer_anatomy_words(d, k, r, lora_alpha)
    stops = sorted({*range(1, min(d, k, 512) + 1), r})
    figure = Figure(figsize=(8.4, 3.3))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.01, 0.01, 0.98, 0.88))
    gap = 0.22 * max(d, k)
    left_B = k + 2 * gap
    left_A = [left_B + stop + 1.5 * gap for stop in stops]
    ax.set(xlim=(-gap / 4, left_A[-1] + k + gap / 4), ylim=(-0.75 * gap, d + gap / 8), aspect="equal", anchor="W")
    ax.axis("off")
    ax.add_patch(Rectangle((0, 0), k, d, edgecolor=GREY, facecolor="#dfe1e3", lw=0.8))
    label(ax, k / 2, 0, f"W (frozen)\n{d:,}×{k:,}", GREY, xytext=(0, -5), ha="center", va="top")
    figure.text(0.02, 0.93, "h = W·x + α/r · B·(A·x), areas to one scale", weight="bold")
    scene = Scene(Backdrop(figure), stops, [layer_anatomy_words(d, k, stop, lora_alpha) for stop in stops])
    scene.text(ax, k + gap, d / 2, [f"+ {lora.scale(stop, lora_alpha):.3g} ×" for stop in stops], "black", ha="center")
    scene.bar(ax, left_B, 0, stops, d, BLUE)
    scene.bar(ax, left_A, [d - stop for stop in stops], k, stops, ORANGE)
    foot = -0.1 * gap
    scene.text(
        ax,
        [left_B + stop / 2 for stop in stops],
        foot,
        [f"B\n{d:,}×{stop:,}" for stop in stops],
        BLUE,
        ha="center",
        va="top",
    )
    scene.text(
        ax,
        [x + k / 2 for x in left_A],
        [d - stop + foot for stop in stops],
        [f"A\n{stop:,}×{k:,}" for stop in stops],
        "#8a5f00",
        ha="center",
        va="top",
    )
    return scene


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
        f"{2 * frozen / 1e6:,.2f} MFLOP through W and {2 * trained / 1e6:,.3f} MFLOP through A and B. "
        f"The scale α/r is {lora.scale(r, lora_alpha):.3g}."
    )


def layer_anatomy_still(d: int, k: int, r: int, lora_alpha: float) -> tuple[Figure, str]:
    """The picture of `layer_anatomy_scene` at rank r, and its sentences."""
    return layer_anatomy_scene(d, k, r, lora_alpha).still(r)


def layer_anatomy() -> Stage:
    """Move r, type d, k and α; impossible values are answered with what to change."""
    controls = [number("d", "d (outputs)"), number("k", "k (inputs)"), slider("r", "rank r"), number("lora_alpha", "α")]
    return Stage(layer_anatomy_scene, "r", controls, d=1536, k=576, r=8, lora_alpha=16)
