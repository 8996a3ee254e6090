"""Adapters in use: swapped, summed, merged and cut to a smaller rank, on one base that is loaded once.

a weighted sum of two adapters is an adapter:    w₁·B₁A₁ + w₂·B₂A₂ = [w₁B₁ w₂B₂] · [A₁; A₂],   rank r₁ + r₂
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import mode
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from . import lora, quant
from .adapter import Adapter, attach_adapter, narrowed
from .lowrank import factors, svd_of_product


def shared_copy(model: Any) -> Any:
    """A second tree of modules over the same weights: what is attached to it does not show in the first."""
    shared = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


@contextmanager
def attached(model: nn.Module, adapter: Adapter | None, factor: float = 1.0) -> Iterator[nn.Module]:
    """`model` with `adapter` on while the block runs, then bare again: a swap moves A and B, never the base.

    `factor` scales the update (1: as trained, 0: the base alone); with None for an adapter the base runs alone. Raises
    ValueError when the adapter does not fit, or the model already carries one.
    """
    if adapter is None:
        yield model
        return
    attach_adapter(model, adapter)
    try:
        lora.set_scale(model, factor)
        yield model
    finally:
        lora.detach(model)


def weighted_sum(parts: Sequence[tuple[Adapter, float]], name: str = "sum") -> Adapter:
    """One adapter whose ΔW is Σ weight·ΔW over `parts`: their A's stacked, their B's side by side. Nothing is lost.

    Its ranks are the sums of the parts' ranks, or as many as W can have; its α/r is 1; a layer that a part lacks gets
    zeros for it. PEFT calls this add_weighted_adapter(combination_type="cat"). Raises ValueError for no parts, parts of
    different bases, or a weight that is no finite number.
    """
    if not parts:
        raise ValueError("nothing to add: give at least one (adapter, weight).")
    if odd := [(adapter.name, weight) for adapter, weight in parts if not math.isfinite(weight)]:
        raise ValueError(f"the weight of {odd[0][0]} is {odd[0][1]}: give a finite number, such as 0.5.")
    shapes: dict[str, tuple[int, int]] = {}
    for adapter, _ in parts:
        for layer in adapter.A:
            here = (adapter.B[layer].shape[0], adapter.A[layer].shape[1])
            if shapes.setdefault(layer, here) != here:
                raise ValueError(
                    f"{layer} is {shapes[layer]} in one adapter and {here} in {adapter.name}: other bases."
                )
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    for layer, (d, k) in shapes.items():
        A[layer] = torch.cat([a.A.get(layer, torch.zeros(a.r, k)) for a, _ in parts])
        B[layer] = torch.cat(
            [w * a.scaling(layer) * a.B[layer] if layer in a.B else torch.zeros(d, a.r) for a, w in parts], dim=1
        )
        A[layer], B[layer] = narrowed(A[layer], B[layer])
    r = sum(adapter.r for adapter, _ in parts)
    others = {layer: float(len(part)) for layer, part in A.items() if len(part) != r}
    return Adapter(name, r, float(r), False, A, B, parts[0][0].base_name, alpha_pattern=others)


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """Every ΔW folded into its W while the block runs; then W is put back from a copy, bit for bit, and the adapter on.

    Subtracting ΔW again would not do: W + ΔW was rounded, so (W + ΔW) − ΔW is not W. The copies take the memory of
    the adapted weights. Raises ValueError as `lora.merge` does.
    """
    layers = dict(lora.lora_layers(model))
    for layer in layers.values():
        lora.check_mergeable(layer.base_layer)
    kept = {name: layer.base_layer.weight.detach().clone() for name, layer in layers.items()}
    lora.merge(model)
    try:
        yield model
    finally:
        with torch.no_grad():
            for name, layer in layers.items():
                layer.base_layer.weight.copy_(kept[name])
                model.set_submodule(name, layer)


def merged_into_four_bits(q: quant.Quantized, delta: Tensor) -> quant.Quantized:
    """W4 + ΔW rounded to 4 bits again, in the same format: most of a small ΔW falls between two levels and is lost.

    q holds W4 (d×k), `delta` is ΔW (d×k). This is what merging on a 4-bit layer does, PEFT's included.
    """
    merged = (quant.dequantize(q).float() + delta).to(q.dtype)
    return quant.quantize(merged, q.codebook, q.blocksize, isinstance(q.absmax, quant.DoubleQuantized))


class Cut(NamedTuple):
    """An adapter at a smaller rank, and ‖ΔW‖² of each layer: (before, after)."""

    adapter: Adapter
    energies: dict[str, tuple[float, float]]


def cut(adapter: Adapter, r: int) -> Cut:
    """`adapter` with the best ΔW of rank `r` in every layer; a layer of no more than r stays as it is,
    and every scale too.

    Raises ValueError where r is below 1, or no layer has a larger rank.
    """
    largest = max(map(len, adapter.A.values()))
    if not 1 <= r < largest:
        raise ValueError(
            f"r = {r} cuts nothing from an adapter of rank {largest}: choose a rank from 1 to {largest - 1}."
            if largest > 1
            else f"{adapter.name} has rank 1 already, and there is nothing smaller: keep it as it is."
        )
    A: dict[str, Tensor] = {}
    B: dict[str, Tensor] = {}
    alphas, energies = {}, {}
    for layer in adapter.A:
        scaling = adapter.scaling(layer)
        A[layer], B[layer], alphas[layer] = adapter.A[layer], adapter.B[layer], adapter.alpha(layer)
        parts = svd_of_product(B[layer].double(), A[layer].double())
        if len(A[layer]) > r:
            B[layer], A[layer] = factors(parts, r)
            alphas[layer] = _short(scaling * (math.sqrt(r) if adapter.use_rslora else r))
        squares = (scaling * parts.S).square()
        energies[layer] = float(squares.sum()), float(squares[: len(A[layer])].sum())
    alpha = mode(alphas.values())
    others = {layer: other for layer, other in alphas.items() if other != alpha}
    usual = mode(map(len, A.values()))
    return Cut(adapter._replace(r=usual, lora_alpha=alpha, A=A, B=B, alpha_pattern=others), energies)


def _short(alpha: float) -> float:
    """A whole lora_alpha as a whole number, as configurations have it."""
    return int(alpha) if alpha == int(alpha) else alpha
