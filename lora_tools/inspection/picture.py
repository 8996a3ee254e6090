"""An adapter as a heat map, layers × matrices, in a notebook (`heat_map`, `summary`)
and as a page of its own (`page`)."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from lora_lessons.drawing import VERMILION, figure_html
from lora_lessons.errors import holding
from lora_lessons.outside import in_attribute, in_html, in_picture

from .words import in_words
from .xray import Xray

NO_LAYER = -1
# characters of a kind's name in the map
LONGEST = 30


class Square(NamedTuple):
    """One square of the map: a kind of matrix in a layer. Where several share it, the largest."""

    kind: str
    layer: int
    value: float | None  # None where it is not finite
    moves: bool


def cells(xray: Xray) -> dict[tuple[str, int], Square]:
    """The squares by (kind, layer): ‖ΔW‖/‖W‖ where the base was looked at, ‖ΔW‖ otherwise."""
    squares: dict[tuple[str, int], Square] = {}
    ratios = _has_ratios(xray)
    for matrix in xray.matrices:
        kind, layer = _place(matrix.module)
        value = matrix.ratio if ratios else matrix.norm
        here = squares.get((kind, layer))
        if here is None or (value or 0.0) > (here.value or 0.0):
            squares[kind, layer] = Square(kind, layer, value, matrix.moves)
    return squares


def heat_map(xray: Xray) -> Figure:
    """The heat map; a cross is a matrix that adds nothing, an exclamation mark one that is not finite.

    Raises ValueError when the adapter has no A and B.
    """
    shown = cells(xray)
    if not shown:
        raise ValueError(f"{xray.name} holds no A and B, so that there is no ΔW to draw.")
    kinds, layers = _kinds(shown), sorted({layer for _, layer in shown})
    grid = [[_value(shown.get((kind, layer))) for layer in layers] for kind in kinds]
    figure = Figure(figsize=(max(4.5, 1.8 + 0.24 * len(layers)), 1.3 + 0.34 * len(kinds)), layout="constrained")
    ax = figure.subplots()
    largest = max((v for row in grid for v in row if v == v), default=0.0)
    image = ax.imshow(grid, cmap="cividis", vmin=0, vmax=largest or 1.0, aspect="auto")
    for (kind, layer), cell in shown.items():
        mark = "!" if cell.value is None else "" if cell.moves else "×"
        ax.text(
            layers.index(layer),
            kinds.index(kind),
            mark,
            ha="center",
            va="center",
            color=VERMILION,
            size=11,
            weight="bold",
        )
    _axes(ax, kinds, layers)
    figure.colorbar(image, ax=ax, label=_quantity(xray), pad=0.01)
    return figure


def summary(xray: Xray) -> str:
    """The map in words."""
    shown = [cell for cell in cells(xray).values() if cell.value is not None]
    if not shown:
        return "There is no ΔW of finite numbers to draw."
    most, least = (pick(shown, key=lambda cell: cell.value or 0.0) for pick in (max, min))
    kinds = {kind: mean(cell.value or 0.0 for cell in shown if cell.kind == kind) for kind in {c.kind for c in shown}}
    first, *_, last = sorted(kinds, key=lambda kind: -kinds[kind]) * 2
    still = sum(not cell.moves for cell in shown)
    same = most.value == least.value
    said = holding(
        (True, f"{_quantity(xray)} of {len(xray.matrices)} matrices."),
        (same, f"It is {most.value:.3g} in all of them."),
        (
            not same,
            (
                f"It is largest in {name_of(most)} ({most.value:.3g}) "
                f"and smallest in {name_of(least)} ({least.value:.3g})."
            ),
        ),
        (
            kinds[first] != kinds[last],
            f"Of the kinds, {first} changes most on average ({kinds[first]:.3g}) and {last} least ({kinds[last]:.3g}).",
        ),
        (still, f"{still} add nothing at all and are crossed."),
    )
    return " ".join(said)


def page(xray: Xray) -> str:
    """One HTML page that needs no network: the findings and the report, and the picture."""
    picture = figure_html(heat_map(xray), summary(xray), dpi=110) if xray.matrices else ""
    name, report = in_html(xray.name), in_html(in_words(xray))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{in_attribute(xray.name)}: an X-ray</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "pre{white-space:pre-wrap}img{max-width:100%}td,th{padding:.1rem .6rem;text-align:left}</style>"
        f"<h1>{name}</h1>{picture}<pre>{report}</pre>"
        f"<details><summary>All {len(xray.matrices)} "
        f"matrices</summary><table>{''.join(_rows(xray))}</table></details></html>\n"
    )


def _rows(xray: Xray) -> Iterator[str]:
    yield "<tr><th>matrix<th>shape<th>r<th>scale<th>‖ΔW‖<th>‖ΔW‖/‖W‖<th>effective rank</tr>"
    for one in xray.matrices:
        numbers = (one.scale, one.norm, one.ratio, one.effective_rank)
        scale, norm, ratio, rank = ("–" if number is None else f"{number:.3g}" for number in numbers)
        shape = f"{one.d}×{one.k}" + (f" × {one.experts} experts" if one.experts > 1 else "")
        yield f"<tr><td>{in_html(one.module)}<td>{shape}<td>{one.r}<td>{scale}<td>{norm}<td>{ratio}<td>{rank}</tr>"


def _axes(ax: Any, kinds: list[str], layers: list[int]) -> None:
    every = 1 + len(layers) // 16
    ticks = [(n, "none" if layer == NO_LAYER else str(layer)) for n, layer in enumerate(layers) if n % every == 0]
    ax.set_xticks(*zip(*ticks, strict=True))
    ax.set_yticks(range(len(kinds)), [in_picture(kind[:LONGEST]) for kind in kinds])
    ax.set(xlabel="layer")
    ax.grid(visible=False)


def _place(module: str) -> tuple[str, int]:
    """A module's last name and its layer, the first number in its name."""
    parts = module.replace(".base_layer", "").split(".")
    return parts[-1], next((int(part) for part in parts if part.isdecimal() and len(part) < 5), NO_LAYER)


def _kinds(shown: dict[tuple[str, int], Square]) -> list[str]:
    usual = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    kinds = list(dict.fromkeys(kind for kind, _ in shown))
    return sorted(kinds, key=lambda kind: usual.index(kind) if kind in usual else len(usual))


def _has_ratios(xray: Xray) -> bool:
    return any(matrix.ratio is not None for matrix in xray.matrices)


def _quantity(xray: Xray) -> str:
    return "‖ΔW‖/‖W‖" if _has_ratios(xray) else "‖ΔW‖"


def _value(cell: Square | None) -> float:
    return float("nan") if cell is None or cell.value is None else cell.value


def name_of(cell: Square) -> str:
    """A square's place in words."""
    return cell.kind if cell.layer == NO_LAYER else f"layer {cell.layer}'s {cell.kind}"
