"""Pictures of lesson 00 and what they say in words: number formats, what training holds, where a model's numbers sit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import nn

from ... import memory
from ...course.figures import fit_bars as fit_bars
from ...drawing import BLUE, GREEN, GREY, ORANGE, label

KINDS = {
    "embed_tokens": "embedding",
    "lm_head": "embedding",
    "self_attn": "attention",
    "mlp": "MLP",
    "norm": "norms",
}


def number_formats(parameters: int, bits: Mapping[str, float]) -> Figure:
    """What the same `parameters` numbers take in GB, one bar a format; `bits` is the size of one number by format."""
    figure = Figure(figsize=(7.2, 2.3))
    ax = figure.subplots()
    for y, b in enumerate(bits.values()):
        size = parameters * b / 8 / memory.GB
        ax.barh(y, size, color=BLUE, height=0.65)
        label(ax, size, y, f"{size:.1f} GB", BLUE)
    ax.set_yticks(range(len(bits)), [f"{name}: {b:g} bits" for name, b in bits.items()])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="GB, weights alone", xlim=(0, 1.2 * parameters * max(bits.values()) / 8 / memory.GB))
    ax.set_title(f"{parameters / 1e9:.2f} billion numbers, kept more and more coarsely")
    return figure


def formats_in_words(parameters: int, bits: Mapping[str, float]) -> str:
    """The picture of `number_formats` in a sentence."""
    sizes = ", ".join(f"{parameters * b / 8 / memory.GB:.1f} GB in {name}" for name, b in bits.items())
    return f"{parameters / 1e9:.2f} billion numbers take {sizes}."


def bill_table(bills: Mapping[str, memory.Bill]) -> str:
    """What each way of training holds, in GB: a row a way, a column a part."""
    rows = ["in GB       weights  adapters gradients   moments     total"]
    for method, bill in bills.items():
        columns = (bill.weights, bill.adapters, bill.gradients, bill.optimizer, bill.total)
        rows.append(f"{method:<9} " + " ".join(f"{part / memory.GB:9.2f}" for part in columns))
    return "\n".join(rows)


def fits_in_words(bills: Mapping[str, memory.Bill], fits: Mapping[str, Sequence[str]]) -> str:
    """Which cards' lines each bar of `fit_bars` stops before."""
    each = "; ".join(
        f"{method} ({bills[method].total / memory.GB:.1f} GB): {', '.join(names) or 'none of these cards'}"
        for method, names in fits.items()
    )
    return f"Llama-2-7B, adapters of rank 8 on all linear layers. The fixed part stops before the line of: {each}."


def parts(model: nn.Module) -> dict[str, int]:
    """Parameters by kind; a head that shares the embedding's numbers is counted once."""
    count = dict.fromkeys(KINDS.values(), 0)
    for name, p in model.named_parameters():
        count[next(kind for key, kind in KINDS.items() if key in name)] += p.numel()
    return count


def where_in_words(models: Mapping[str, Mapping[str, int]]) -> str:
    """The picture of `where_numbers_sit` in a sentence."""
    shares = (
        f"{name}: " + ", ".join(f"{kind} {n / sum(count.values()):.2%}" for kind, n in count.items())
        for name, count in models.items()
    )
    return "; ".join(shares) + "."


def where_numbers_sit(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """One bar a model, split into the shares of its parts, each with its name, share and count in millions."""
    figure = Figure(figsize=(8.4, 1.0 + 0.95 * len(models)))
    ax = figure.subplots()
    for y, parts in enumerate(models.values()):
        left, whole = 0.0, sum(parts.values())
        for (part, count), color in zip(parts.items(), (ORANGE, BLUE, GREEN, GREY), strict=False):
            share = count / whole
            ax.barh(y, share, left=left, color=color, edgecolor="white", height=0.7)
            text = f"{part}{{}}{share:.0%}, {count / 1e6:,.0f} M"
            if share > 0.1:
                ink, middle = "black" if color == ORANGE else "white", left + share / 2
                ax.text(middle, y, text.format("\n"), ha="center", va="center", size=9, color=ink, weight="bold")
            elif share > 0.005:
                ax.text(left, y - 0.37, text.format(" "), va="bottom", size=9, color="black", weight="bold")
            left += share
    sizes = (sum(parts.values()) for parts in models.values())
    ax.set_yticks(range(len(models)), [f"{name}\n{n / 1e6:,.0f} M" for name, n in zip(models, sizes, strict=True)])
    ax.set(xlim=(0, 1), xlabel="share of the model's numbers (M: million)", title="Where the numbers sit")
    ax.invert_yaxis()
    ax.grid(visible=False)
    return figure
