"""What trains, counted in published 7B shapes; and the pictures of lesson 02: the update's size and what trains at each rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from matplotlib.figure import Figure
from torch import nn

from ... import lora, models
from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label

RANKS = (8, 16, 64)
TARGETS: dict[str, str | list[str]] = {
    "q, v": ["q_proj", "v_proj"],
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "all-linear": "all-linear",
}
Setting = tuple[str, str, int]  # model, targets, r


def with_gradient(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, int]:
    """How many matrices get a gradient from one pass forward and backward, by kind: lora_A, lora_B, base."""
    model.zero_grad()
    model(**batch).loss.backward()
    counts = {"lora_A": 0, "lora_B": 0, "base": 0}
    for name, p in model.named_parameters():
        if p.grad is not None and p.grad.any():
            counts[next((kind for kind in ("lora_A", "lora_B") if kind in name), "base")] += 1
    return counts


def size(model: nn.Module) -> int:
    """All the numbers that a model learned."""
    return sum(p.numel() for p in model.parameters())


def every_setting() -> tuple[dict[Setting, int], dict[str, int]]:
    """What trains for three models × three choices of targets × three ranks; and each model's size."""
    counts, sizes = {}, {}
    for name in models.SHAPES:
        model = models.shape(name)
        sizes[name] = size(model)
        for targets, modules in TARGETS.items():
            for r in RANKS:
                lora.attach(model, r, lora_alpha=16, target_modules=modules)
                counts[name, targets, r] = lora.trainable_parameters(model)
                lora.detach(model)
    return counts, sizes


def rows(counts: Mapping[Setting, int]) -> Iterator[str]:
    """The counts as lines of a table: models and targets down, ranks across."""
    yield f"{'':<11} {'':<11}" + "".join(f"{f'r = {r}':>11}" for r in RANKS)
    for name, targets in dict.fromkeys((name, targets) for name, targets, _ in counts):
        numbers = "".join(f"{counts[name, targets, r] / 1e6:9.2f} M" for r in RANKS)
        yield f"{name:<11} {targets:<11}{numbers}"


def cuts(counts: Mapping[Setting, int], sizes: Mapping[str, int]) -> list[float]:
    """For each setting, the share of the model that does not train, in percent."""
    return [100 * (1 - n / sizes[name]) for (name, _, _), n in counts.items()]


def counts_against_rank(
    counts: Mapping[tuple[str, str, int], int], parameters: int, line_of: str, band: tuple[float, float] = (20e6, 30e6)
) -> Figure:
    """Trainable parameters against r, both axes log: lines of one model, marks for all, with the page's two claims.

    `counts` holds {(model, targets, r): trainable}; `parameters` is the size of the model `line_of`.
    """
    figure = Figure(figsize=(7.2, 4.6))
    ax = figure.subplots()
    ranks = (1, 300)
    ax.axhspan(*band, color=GREEN, alpha=0.22, lw=0)
    label(ax, 1, (band[0] * band[1]) ** 0.5, "20–30 million", GREEN, xytext=(4, 0))
    for cut in (0.90, 0.99):
        ax.axhline((1 - cut) * parameters, color=GREY, lw=1.2, ls="--")
        label(ax, 1, (1 - cut) * parameters, f"{cut:.0%} cut", GREY, xytext=(4, 8))
    models = list(dict.fromkeys(model for model, _, _ in counts))
    for color, targets in zip((BLUE, ORANGE, VERMILION), dict.fromkeys(t for _, t, _ in counts), strict=False):
        r0 = min(r for model, t, r in counts if (model, t) == (line_of, targets))
        per_rank = counts[line_of, targets, r0] / r0
        ax.plot(ranks, [per_rank * r for r in ranks], color=color, lw=1.6)
        label(ax, ranks[1], per_rank * ranks[1], targets, color)
        for place, (model, mark) in enumerate(zip(models, "o^s", strict=False)):
            beside = 1.13 ** (place - (len(models) - 1) / 2)  # side by side: none hides another
            points = [(r * beside, n) for (m, t, r), n in counts.items() if (m, t) == (model, targets)]
            ax.plot(*zip(*points, strict=True), mark, color=color, ms=6, markeredgecolor="white")
    marks = ", ".join(f"{shape} {model}" for model, shape in zip(models, "●▲■", strict=False))
    marked = sorted({r for _, _, r in counts})
    for r in marked:
        ax.axvline(r, color="#d9dcdf", lw=27, alpha=0.4, zorder=0.5)
    ax.set(xscale="log", yscale="log", xlim=ranks)
    ax.set_xlabel(
        f"rank r     ({marks}, side by side at r = {', '.join(map(str, marked))}; lines: {line_of})", size=9.5
    )
    ax.set_ylabel("trainable parameters (millions)")
    ax.set_xticks(ticks := (1, 4, 8, 16, 64, 256), [str(r) for r in ticks])
    ax.set_yticks(ticks_y := (1e6, 1e7, 1e8, 1e9), [f"{n / 1e6:,.0f}" for n in ticks_y])
    ax.minorticks_off()
    ax.set_title(f"What trains in a 7B ({parameters / 1e9:.2f} billion parameters)")
    return figure
