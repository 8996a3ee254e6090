"""The widget of lesson 00: one block of the base, to scale, its seven matrices, and LoRA's A and B beside each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ... import lowrank, models
from ...course.backdrop import NARROW
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, slider, whole
from ...drawing import BLUE, GREY

GAP = 260  # between two columns, in numbers, as everything in the drawing
THIN = 40  # A and B: of rank 8 they would be hairs


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
    """Matrix `number` (from 1) of the block in sentences: its size, its share, its work,
    and LoRA's A and B beside it."""
    seven = matrices(config)
    one, whole_block = seven[number - 1], sum(m.d * m.k for m in seven)
    return (
        f"{number} of {len(seven)}: {one.name} {one.does}. It has {one.d:,} × {one.k:,} = {one.d * one.k:,} numbers, "
        f"{one.d * one.k / whole_block:.0%} of the block's {whole_block / 1e6:.2f} million. LoRA at rank {r} puts "
        f"B ({one.d:,}×{r}) and A ({r}×{one.k:,}) beside it: {lowrank.stored_numbers(one.d, one.k, r):,} numbers "
        "(blue, drawn five times as thick as they are)."
    )


def block_scene(matrix: int) -> Scene:
    """The block of the course's base, one matrix marked at each stop. Raises ValueError for a matrix it has not."""
    config = json.loads((models.embedded_folder() / "config.json").read_text(encoding="utf-8"))
    seven = matrices(config)
    if whole("matrix", matrix) not in range(1, len(seven) + 1):
        raise ValueError(f"the block has {len(seven)} matrices: choose 1 to {len(seven)}.")
    backdrop, halves = _drawing(seven, config)
    stops = list(range(1, len(seven) + 1))
    scene = Scene(backdrop, stops, [block_words(config, n) for n in stops])
    for ax, ours in zip(halves, (seven[:4], seven[4:]), strict=True):
        # where the marked one stands in the other half, nothing does here
        shown = [m if m in ours else m._replace(d=0, k=0, x=ours[0].x, y=ours[0].y) for m in seven]
        scene.bar(ax, [m.x for m in shown], [m.y for m in shown], [m.k for m in shown], [m.d for m in shown], GREY)
        middles = [(m.x + m.k / 2, m.y + m.d / 2) for m in shown]
        numbers = [str(stop) if m.d else "" for stop, m in zip(stops, shown, strict=True)]
        scene.text(ax, [x for x, _ in middles], [y for _, y in middles], numbers, "white", ha="center")
    return scene


def block() -> Stage:
    """Slide through the seven matrices of one block."""
    return Stage(block_scene, "matrix", [slider("matrix", "matrix (1 to 7)")], matrix=1)


def _drawing(seven: list[Matrix], config: Mapping[str, Any]) -> tuple[Backdrop, tuple[Any, Any]]:
    """The matrices to one scale above the line of numbers that runs through the block: its two halves,
    attention and MLP."""
    q, k, v, o, gate, up, down = seven
    begin, border, end = -3.6 * GAP, (o.x + o.k + gate.x) / 2, down.x + down.k + 1.2 * GAP
    stream = -2.4 * GAP
    foot, tops = stream - 1.4 * GAP, [max(m.y + m.d for m in half) + 2.6 * GAP for half in (seven[:4], seven[4:])]
    across, tall = (border - begin, end - border), [top - foot for top in tops]
    figure = Figure(figsize=(8.4, 8.4 * max(tall) / sum(across)))
    figure.set_layout_engine("none")
    beside = [(0, across[0], tall[0]), (across[0], across[1], tall[1])]
    halves = [
        figure.add_axes((left / sum(across), 0, width / sum(across), height / max(tall)))
        for left, width, height in beside
    ]
    attention, mlp = halves
    for ax, left, right, top in zip(halves, (begin, border), (border, end), tops, strict=True):
        ax.set(xlim=(left, right), ylim=(foot, top))
        ax.axis("off")
    for m in seven:
        ax = attention if m in (q, k, v, o) else mlp
        ax.add_patch(Rectangle((m.x, m.y), m.k, m.d, facecolor=GREY, alpha=0.3, edgecolor=GREY, lw=1.2))
        ax.add_patch(Rectangle((m.x, m.y + m.d + THIN / 2), m.k, THIN, color=BLUE, lw=0))  # A, r×k
        ax.add_patch(Rectangle((m.x + m.k + THIN / 2, m.y), THIN, m.d, color=BLUE, lw=0))  # B, d×r
        to_the_left = m in (q, k, v)
        place = (m.x - 0.2 * GAP, m.y + m.d / 2) if to_the_left else (m.x + m.k / 2, m.y + m.d + 2 * THIN)
        align: dict[str, Any] = {"ha": "right", "va": "center"} if to_the_left else {"ha": "center", "va": "bottom"}
        ax.text(*place, f"{m.name}\n{m.d:,}×{m.k:,}", size=9, weight="bold", linespacing=1.1, **align)

    def go(ax: Any, start: tuple[float, float], stop: tuple[float, float], head: str = "->") -> None:
        arrow = {"arrowstyle": head, "color": GREY, "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", stop, start, arrowprops=arrow)

    go(attention, (begin + 0.2 * GAP, stream), (border, stream), "-")
    go(mlp, (border, stream), (end - 0.1 * GAP, stream))
    turns = (
        (attention, q.x + q.k / 2, True),
        (attention, o.x + o.k / 2, False),
        (mlp, (gate.x + up.x + up.k) / 2, True),
        (mlp, down.x + down.k / 2, False),
    )
    for ax, x, upward in turns:
        go(ax, (x, stream if upward else -0.3 * GAP), (x, -0.3 * GAP if upward else stream + 0.35 * GAP))
        if not upward:
            ax.plot([x], [stream], "o", ms=15, mfc="white", mec=GREY, mew=1.4)
            ax.text(x, stream, "+", ha="center", va="center_baseline", size=13, color=GREY, weight="bold")
        else:
            ax.text(x + 0.2 * GAP, stream / 2, "norm", va="center", size=9, color=GREY)
    go(attention, (q.x + q.k + 2 * THIN, o.d / 2), (o.x - 0.15 * GAP, o.d / 2))
    between: dict[str, Any] = {"ha": "center", "va": "bottom", "size": 9, "color": GREY}
    attention.text(q.x + q.k + GAP, o.d / 2 + 0.3 * GAP, "looks\nback", **between)
    go(mlp, (up.x + up.k + 2 * THIN, down.d / 2), (down.x - 0.15 * GAP, down.d / 2))
    times: dict[str, Any] = {"ha": "center", "va": "center", "size": 13, "color": GREY, "weight": "bold"}
    mlp.text(gate.x + gate.k + GAP / 2, gate.d / 2, "×", **times)
    width = f"{config['hidden_size']} numbers per token"
    attention.text(begin + 0.2 * GAP, stream - 0.35 * GAP, width, va="top", size=9, color=GREY)
    heads = (
        (attention, (q.x + o.x + o.k) / 2, tops[0], "Attention: what earlier tokens say"),
        (mlp, (gate.x + down.x + down.k) / 2, tops[1], "MLP: each token by itself"),
    )
    for ax, x, top, words in heads:
        ax.text(x, top - 0.9 * GAP, words, ha="center", va="bottom", size=11, weight="bold")
    for y, words, color in ((q.d, "grey: W, as it is", GREY), (q.d - 0.7 * GAP, "blue: A above, B beside", BLUE)):
        attention.text(q.x + q.k + 3 * THIN, q.y + y, words, size=9, color=color, weight="bold")
    inch = NARROW / max(across)  # of a number, on a phone: one half above the other
    stacked = [
        (0, tall[1] / sum(tall), across[0] / max(across), tall[0] / sum(tall)),
        (0, 0, across[1] / max(across), tall[1] / sum(tall)),
    ]
    return Backdrop(figure, (inch * sum(tall),), stacked), (attention, mlp)


live("block", "widget.block()", block)
