"""Pictures of lesson 11, each with its sentences: formats by their bits. And of its side trip: two weights on their
grid, errors of layers' outputs, losses passage by passage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from ...drawing import BLUE, GREEN, GREY, SKY, VERMILION, label
from ...experiments.sweep import summary

HALO = [withStroke(linewidth=3.5, foreground="white")]  # keeps a line from striking a word


def by_bits(files: Mapping[str, Mapping[str, Any]], above: Mapping[str, float]) -> tuple[Figure, str, str]:
    """A dot a file: the bits that a weight of its layers takes, and how far it raises the perplexity."""
    figure = Figure(figsize=(7.2, 4.0))
    ax = figure.subplots()
    shown = [(name, files[name]["bits_in_layers"], 100 * above[name]) for name in files if name != "gguf-f16"]
    for name, bits, percent in shown:
        is_gguf = name.startswith("gguf")
        ax.plot(bits, percent, "o" if is_gguf else "s", color=BLUE if is_gguf else GREEN, ms=10)
        side: dict[str, Any] = {"xytext": (-10, 0), "ha": "right"} if name in ("gptq", "awq") else {"xytext": (10, 0)}
        label(ax, bits, percent, _name(name), "black", **side)
    ax.text(8.5, 13, "round: GGUF, for llama.cpp", color=BLUE, ha="right", weight="bold")
    ax.text(8.5, 11.3, "square: folders, mostly for GPU servers", color=GREEN, ha="right", weight="bold")
    ax.set(xlim=(3.5, 9.3), ylim=(-1, 16), xlabel="bits per weight in the layers, scales included")
    ax.set(ylabel="rise of the perplexity, in percent", title="At 4.3 to 4.5 bits, four formats cost about the same")
    numbers = " ".join(f"{_name(name)}: {bits:.2f} bits, +{percent:.0f}%." for name, bits, percent in shown)
    finding = (
        "more bits cost less. The four files between 4.3 and 4.5 bits lie close together, "
        "whatever their format is called."
    )
    return figure, finding, numbers


def _name(file: str) -> str:
    """A file's name as its users write it: Q4_K_M, GPTQ."""
    return file.removeprefix("gguf-").upper()


def two_weights(H: Tensor, w: Tensor, off: Mapping[str, tuple[Tensor, float]]) -> tuple[Figure, str, str]:
    """Two weights (a grid of whole numbers): lines of equal output error around `w`, the grid,
    and two marks with their errors."""
    figure = Figure(figsize=(6.4, 4.6))
    ax = figure.subplots()
    (x0, y0), reach = w.tolist(), 1.9
    x, y = torch.meshgrid(
        torch.linspace(x0 - reach, x0 + reach, 240), torch.linspace(y0 - reach, y0 + reach, 240), indexing="xy"
    )
    d = torch.stack([x - x0, y - y0])
    error = torch.einsum("iab,ij,jab->ab", d, H, d).sqrt()
    levels = [((mark - w) @ H @ (mark - w)).sqrt().item() for mark, _ in off.values()]
    ax.contour(x, y, error, sorted({*levels, 0.5 * min(levels), 1.6 * max(levels)}), colors=SKY, linewidths=1.2)
    marks = [(i, j) for i in range(-8, 9) for j in range(-8, 9) if abs(i - x0) < reach and abs(j - y0) < reach]
    ax.plot(*zip(*marks, strict=True), "o", color=GREY, ms=4)
    ax.plot(x0, y0, "x", color="black", ms=9, mew=2.2)
    label(ax, x0, y0, "the weights", "black", xytext=(8, 8), path_effects=HALO)
    for (name, (mark, wrong)), color in zip(off.items(), (VERMILION, BLUE), strict=True):
        at, up = mark.tolist()
        ax.plot(at, up, "o", color=color, ms=10)
        below: dict[str, Any] = {"xytext": (0, -9), "ha": "center", "va": "top"}
        label(ax, at, up, f"{name}\n{wrong:.2f} off", "black", path_effects=HALO, **below)
    ax.set(xlabel="weight 1 (steps of the grid)", ylabel="weight 2", aspect="equal")
    ax.set(xlim=(x0 - reach, x0 + reach), ylim=(y0 - reach, y0 + reach), title="The nearest mark is not the best")
    ax.grid(visible=False)
    numbers = " ".join(
        f"The {name} mark {_mark(mark)} is {wrong:.2f} off at the output." for name, (mark, wrong) in off.items()
    )
    finding = (
        "a cross marks the two weights, grey dots the marks of the grid. The lines of equal output error are long, "
        "tilted ellipses. The nearest mark lies across them; the best one is farther from the weights, "
        "but lies along them."
    )
    return figure, finding, numbers


def _mark(mark: Tensor) -> str:
    return f"({', '.join(f'{x:g}' for x in mark.tolist())})"


def output_errors(rows: Mapping[str, Mapping[str, float]]) -> tuple[Figure, str, str]:
    """One row a layer, a dot a method, named in the first row: how far the layer's output is off."""
    figure = Figure(figsize=(7.2, 1.1 + 0.62 * len(rows)))
    ax = figure.subplots()
    for y, errors in enumerate(rows.values()):
        ax.plot([min(errors.values()), max(errors.values())], [y, y], color=GREY, lw=1, zorder=1)
        for (name, error), color in zip(errors.items(), (VERMILION, GREEN, BLUE, BLUE), strict=True):
            inside = "white" if name == "GPTQ, same text" else color
            ax.plot(error, y, "o", color=color, ms=9, mfc=inside, mew=2)
            if y == 0:
                ha = {"GPTQ, same text": "right", "AWQ": "left"}.get(name, "center")
                label(ax, error, y, name, "black", xytext=({"right": 9, "left": -5, "center": 0}[ha], 13), ha=ha)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(
        xlabel="relative error of the layer's outputs, block 10, 4 bits", xlim=(0, None), ylim=(len(rows) - 0.5, -0.9)
    )
    ax.set_title("What GPTQ gains on its own text, it may lose on another")
    ax.grid(axis="y", visible=False)
    ours = [{way: error for way, error in of.items() if way != "GPTQ, same text"} for of in rows.values()]
    best = [kind for kind, of in zip(rows, ours, strict=True) if of["GPTQ"] == min(of.values())]
    finding = (
        "on the text that it read, GPTQ (hollow) has the smallest error in every layer. On other text (filled) it is "
        f"the best of three in {', '.join(best) or 'none'}."
    )
    numbers = [f"{kind}: " + ", ".join(f"{way} {error:.3f}" for way, error in of.items()) for kind, of in rows.items()]
    return figure, finding, ". ".join(numbers) + "."


def paired_differences(gaps: Mapping[str, Sequence[float]]) -> tuple[Figure, str, str]:
    """A column for each pair of methods: a dot a passage, and their mean with its 95% interval."""
    figure = Figure(figsize=(7.2, 3.8))
    ax = figure.subplots()
    ax.axhline(0, color="black", lw=1.4)
    numbers = []
    for x, ((name, values), color) in enumerate(zip(gaps.items(), (BLUE, GREEN, GREY), strict=False)):
        one, lower = summary(list(values)), sum(value < 0 for value in values)
        spread = [x - 0.2 + 0.12 * i / (len(values) - 1) for i in range(len(values))]
        ax.plot(spread, values, "o", color=color, ms=5, alpha=0.55, mew=0)
        ax.plot([x + 0.14] * 2, [one.low, one.high], color=color, lw=2.6)
        ax.plot(x + 0.14, one.mean, "s", color=color, ms=7)
        numbers.append(f"{name}: {one.low:+.2f} to {one.high:+.2f} nats, lower on {lower} of {len(values)} passages.")
    ax.set_xticks(range(len(gaps)), [name.replace(" minus ", "\nminus ") for name in gaps])
    ax.set(xlim=(-0.5, len(gaps) - 0.5), ylabel="nats per token\n(below 0: the first is better)")
    ax.set_title("Both lose less than rounding to nearest")
    ax.grid(axis="x", visible=False)
    finding = (
        "GPTQ and AWQ both lie below zero, with their whole interval, when they are compared with rounding to nearest."
    )
    return figure, finding, " ".join(numbers)
