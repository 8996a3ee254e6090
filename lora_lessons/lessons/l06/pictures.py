"""Pictures of lesson 06 and its side trip, each with its sentences: a block's bytes, errors and losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ...drawing import BLUE, GREY, WIDTH, label
from ...experiments import sweep


def one_block(block: Tensor, codes: Tensor, levels: Tensor) -> tuple[Figure, str]:
    """One block's 64 weights, their codes, and the bytes that hold them; its first two codes enlarged."""
    figure = Figure(figsize=(WIDTH, 4.9))
    ax = figure.subplots()
    first, second = (int(code) for code in codes[:2])
    byte = 16 * first + second
    _strip(ax, 0.0, block / block.abs().max(), 1)
    _strip(ax, 1.9, levels[codes.long()], 1)
    for y, said in ((0.0, "64 weights, 256 bytes in fp32"), (1.9, "64 codes, each the number of a mark")):
        ax.text(0, y - 0.2, said, va="bottom", size=12)
    for x, width, text in (
        (2, 6, str(first)),
        (8, 6, str(second)),
        (22, 10, f"{first:04b}"),
        (32, 10, f"{second:04b}"),
        (50, 10, str(byte)),
    ):
        ax.add_patch(Rectangle((x, 3.7), width, 1.1, facecolor="white", edgecolor="black"))
        ax.text(x + width / 2, 4.25, text, ha="center", va="center", size=13, weight="bold")
    ax.plot([0, 2], [2.7, 3.7], color=GREY, lw=1)
    ax.plot([2, 14], [2.7, 3.7], color=GREY, lw=1)
    for start, end in ((14.5, 21.5), (42.5, 49.5)):
        ax.annotate("", (end, 4.25), (start, 4.25), arrowprops={"arrowstyle": "->", "lw": 1.5})
    ax.text(61.5, 4.25, "one byte", va="center", size=12)
    pairs = levels[codes.long()].view(-1, 2).mean(1)
    for y, scale, said in (
        (6.2, 4, "32 bytes of codes + 4 of scale = 36, 4.5 bits per weight"),
        (8.1, 1, "double quantization: 32 + 1 + 1/64 bytes, 4.127 bits per weight"),
    ):
        _strip(ax, y, pairs, 2)
        ax.text(0, y - 0.2, said, va="bottom", size=12)
        for n in range(scale):
            ax.add_patch(Rectangle((66 + 2 * n, y), 2, 0.8, facecolor=GREY, edgecolor="white"))
    ax.set(xlim=(-0.5, 76), ylim=(9.0, -1.0))
    ax.axis("off")
    ax.set_title("64 weights fit into 36 bytes, or a little over 33")
    return figure, (
        f"one block: 64 weights become 64 codes, and two codes share a byte, so {first} and {second} become "
        f"{first:04b} and {second:04b}, together {byte}. 32 bytes of codes and a scale of 4 bytes make 36. With double "
        "quantization the scale takes 1 byte, and a sixty-fourth of one for its share of the scale's own scale."
    )


def _strip(ax: Any, y: float, values: Tensor, width: int) -> None:
    """A row of cells, each `width` wide, coloured by its value between −1 and 1."""
    edges = [width * n for n in range(len(values) + 1)]
    ax.pcolormesh(edges, [y, y + 0.8], values[None], cmap="PuOr", vmin=-1.2, vmax=1.2, edgecolors="white", lw=0.6)


def weights_against_meaning(ranked: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, str, str]:
    """One dot per way to round: how far the weights are off, and how far the sentence embeddings moved."""
    figure = Figure(figsize=(WIDTH, 4.0))
    ax = figure.subplots()
    words, above = [], -1.0
    for name, row in sorted(ranked.items(), key=lambda item: fmean(item[1]["moved"])):
        x, one = row["error"], sweep.summary(row["moved"])
        color = BLUE if name.startswith("NF4") else GREY
        ax.plot([x, x], [one.low, one.high], color=color, lw=1.5, alpha=0.6)
        ax.plot([x], [one.mean], "o", color=color, ms=7)
        said = f"{name} ({row['bits']:.3g} bits)"
        if name in ("Q4_0", "Q4_1"):
            up = 5 if name == "Q4_0" else -5
            label(ax, x, one.mean, said, "black", size=10.5, xytext=(-9, up), ha="right")
        else:
            # names one below the other where dots lie close
            above = max(above + 0.003, one.mean)
            label(ax, x, above, said, "black", size=10.5, xytext=(10, 0))
        words.append(f"{name}: error {x:.4f}, moved {one.mean:.4f}.")
    ax.set(xlabel="relative error of the weights", ylabel="sentences moved (1 − cosine)")
    ax.set_title("NF4 moves meaning less than its error says")
    left, right = ax.get_xlim()
    ax.set(xlim=(left - 0.45 * (right - left), right + 0.4 * (right - left)), ylim=(0, None))
    finding = "at nearly the same error of the weights, NF4 moves the sentences least of the ways with 4.5 bits."
    return figure, finding, " ".join(words)


def directions_by_dose(found: Mapping[str, Sequence[int]], doses: Sequence[float]) -> tuple[Figure, str, str]:
    """Directions for 90% of the energy against the dose of rounding noise added: a line per matrix, blue and grey."""
    figure = Figure(figsize=(WIDTH, 3.4))
    ax = figure.subplots()
    ax.axvline(1, color="black", lw=1.1, ls="--")
    label(ax, 1, 40, "one more rounding", "black", size=10.5)
    for (name, line), color in zip(found.items(), (BLUE, GREY), strict=False):
        ax.plot(range(len(doses)), line, "o-", color=color)
        label(ax, len(doses) - 1, line[-1], name, "black", xytext=(8, 0))
    ax.set_xticks(range(len(doses)), [f"{one:g}×" for one in doses])
    ax.set(xlabel="noise added, as a multiple of what one rounding adds", ylabel="directions for 90%")
    ax.set(xlim=(-0.15, len(doses) - 0.1), ylim=(0, 576))
    ax.set_title("One more rounding does not raise the rank")
    listed = "; ".join(f"{name} {', '.join(map(str, line))}" for name, line in found.items())
    finding = "one more rounding leaves the number of directions as it was; only many doses raise it."
    return figure, finding, f"After {', '.join(f'{one:g}' for one in doses)} doses: {listed}."
