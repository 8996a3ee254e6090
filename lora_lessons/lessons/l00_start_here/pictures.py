"""Pictures of lesson 00 and what they say in words: number formats, where a model's numbers sit.

And one transformer block of the base, to scale: the seven matrices that LoRA can go beside, and what each does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import nn

from ... import lowrank, memory, models
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, slider, whole
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


GAP = 260  # between two columns, in numbers, as everything in the drawing


class Matrix(NamedTuple):
    """One of the seven: d outputs × k inputs, where its lower left corner is drawn, and what it does."""

    name: str
    d: int
    k: int
    x: float
    y: float
    does: str


def matrices(config: Mapping[str, Any]) -> list[Matrix]:
    """The seven matrices of a Llama block from its configuration, in the order of the calculation."""
    h, inner = config["hidden_size"], config["intermediate_size"]
    size = config.get("head_dim") or h // config["num_attention_heads"]
    q, kv = config["num_attention_heads"] * size, config["num_key_value_heads"] * size
    o = h + 2 * GAP
    gate = o + q + 2.4 * GAP
    up = gate + h + GAP
    down = up + h + 1.4 * GAP
    step = 0.35 * GAP
    return [
        Matrix("q_proj", q, h, 0, 2 * (kv + step), "asks what this token is looking for (query)"),
        Matrix("k_proj", kv, h, 0, kv + step, "says what each token has to offer (key)"),
        Matrix("v_proj", kv, h, 0, 0, "is what a token hands over when it is looked at (value)"),
        Matrix("o_proj", h, q, o, 0, "puts together what attention has gathered (output)"),
        Matrix("gate_proj", inner, h, gate, 0, "decides how much of each of the MLP's inner numbers passes"),
        Matrix("up_proj", inner, h, up, 0, "works out those inner numbers"),
        Matrix("down_proj", h, inner, down, 0, "brings the result back to the token's own numbers"),
    ]


def block_words(config: Mapping[str, Any], number: int, r: int = 8) -> str:
    """Matrix `number` (from 1) of the block in sentences: its size, its share, its work, and LoRA's A and B beside it."""
    seven = matrices(config)
    one, whole_block = seven[number - 1], sum(m.d * m.k for m in seven)
    return (
        f"{number} of {len(seven)}: {one.name} {one.does}. It has {one.d:,} × {one.k:,} = {one.d * one.k:,} numbers, "
        f"{one.d * one.k / whole_block:.0%} of the block's {whole_block / 1e6:.2f} million. LoRA at rank {r} puts "
        f"B ({one.d:,}×{r}) and A ({r}×{one.k:,}) beside it: {lowrank.stored_numbers(one.d, one.k, r):,} numbers."
    )


def block_scene(matrix: int) -> Scene:
    """The block of the course's base, one matrix marked at each stop. Raises ValueError for a matrix it has not."""
    config = json.loads((models.embedded_folder() / "config.json").read_text(encoding="utf-8"))
    seven = matrices(config)
    if whole("matrix", matrix) not in range(1, len(seven) + 1):
        raise ValueError(f"the block has {len(seven)} matrices: choose 1 to {len(seven)}.")
    backdrop, ax = _drawing(seven, config)
    stops = list(range(1, len(seven) + 1))
    scene = Scene(backdrop, stops, [block_words(config, n) for n in stops])
    scene.bar(ax, [m.x for m in seven], [m.y for m in seven], [m.k for m in seven], [m.d for m in seven], ORANGE)
    middles = [(m.x + m.k / 2, m.y + m.d / 2) for m in seven]
    scene.text(ax, [x for x, _ in middles], [y for _, y in middles], list(map(str, stops)), "black", ha="center")
    return scene


def block() -> Stage:
    """Slide through the seven matrices of one block."""
    return Stage(block_scene, "matrix", [slider("matrix", "matrix (1 to 7)")], matrix=1)


def _drawing(seven: list[Matrix], config: Mapping[str, Any]) -> tuple[Backdrop, Any]:
    """The matrices to one scale above the line of numbers that runs through the block."""
    q, k, v, o, gate, up, down = seven
    end, top, stream = down.x + down.k, max(m.y + m.d for m in seven), -2.4 * GAP
    figure = Figure(figsize=(8.4, 3.9))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0.005, 0.01, 0.99, 0.98))
    ax.set(xlim=(-3.6 * GAP, end + 1.2 * GAP), ylim=(stream - 1.4 * GAP, top + 2.6 * GAP), aspect="equal")
    ax.axis("off")
    for m in seven:
        color = BLUE if m in (q, k, v, o) else GREEN
        ax.add_patch(Rectangle((m.x, m.y), m.k, m.d, facecolor=color, alpha=0.35, edgecolor=color, lw=1.2))
        beside = m in (q, k, v)
        place = (m.x - 0.2 * GAP, m.y + m.d / 2) if beside else (m.x + m.k / 2, m.y + m.d + 0.2 * GAP)
        align: dict[str, Any] = {"ha": "right", "va": "center"} if beside else {"ha": "center", "va": "bottom"}
        ax.text(*place, f"{m.name}\n{m.d:,}×{m.k:,}", size=9, weight="bold", linespacing=1.1, **align)
    arrow = {"arrowstyle": "->", "color": GREY, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}

    def go(start: tuple[float, float], stop: tuple[float, float]) -> None:
        ax.annotate("", stop, start, arrowprops=arrow)

    go((-3.4 * GAP, stream), (end + 1.1 * GAP, stream))
    turns = (q.x + q.k / 2, o.x + o.k / 2, (gate.x + up.x + up.k) / 2, down.x + down.k / 2)
    for x, upward in zip(turns, (True, False, True, False), strict=True):
        go((x, stream if upward else -0.3 * GAP), (x, -0.3 * GAP if upward else stream + 0.35 * GAP))
        if not upward:
            ax.plot([x], [stream], "o", ms=15, mfc="white", mec=GREY, mew=1.4)
            ax.text(x, stream, "+", ha="center", va="center_baseline", size=13, color=GREY, weight="bold")
        else:
            ax.text(x + 0.2 * GAP, stream / 2, "norm", va="center", size=9, color=GREY)
    go((q.x + q.k + 0.15 * GAP, o.d / 2), (o.x - 0.15 * GAP, o.d / 2))
    ax.text(q.x + q.k + GAP, o.d / 2 + 0.3 * GAP, "looks\nback", ha="center", va="bottom", size=9, color=GREY)
    go((up.x + up.k + 0.15 * GAP, down.d / 2), (down.x - 0.15 * GAP, down.d / 2))
    ax.text(gate.x + gate.k + GAP / 2, gate.d / 2, "×", ha="center", va="center", size=13, color=GREY, weight="bold")
    ax.text(-3.4 * GAP, stream - 0.35 * GAP, f"{config['hidden_size']} numbers per token", va="top", size=9, color=GREY)
    heads = (
        ((q.x + o.x + o.k) / 2, "Attention: what earlier tokens say", BLUE),
        ((gate.x + end) / 2, "MLP: each token by itself", GREEN),
    )
    for x, words, color in heads:
        ax.text(x, top + 1.7 * GAP, words, ha="center", va="bottom", size=11, color=color, weight="bold")
    return Backdrop(figure), ax


live("block", "pictures.block()", block)
