"""How many directions the base's matrices need, kind by kind, and what is left when they are cut."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ... import evaluation, lowrank, models

KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def by_layer(W: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The matrices of each layer by kind: {"layer 0": {"q_proj": …}, …}."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, w in W.items():
        *_, number, _, kind = name.split(".")  # model.layers.0.self_attn.q_proj
        found.setdefault(f"layer {number}", {})[kind] = w
    return found


def share90(S: Tensor) -> float:
    """The share of full rank that keeps 90% of the energy."""
    return lowrank.rank_for_energy(S, 0.9) / len(S)


def shares_by_kind(parts: Mapping[str, lowrank.SVD]) -> dict[str, list[float]]:
    """`share90` of each matrix, first layer first, for each kind."""
    return {kind: [share90(one.S) for name, one in parts.items() if name.endswith(kind)] for kind in KINDS}


def first_of_each_kind(W: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One matrix of each kind: all of a kind have one shape."""
    return {kind: next(w for name, w in W.items() if name.endswith(kind)) for kind in KINDS}


def noise_shares(W: Mapping[str, Tensor], seed: int) -> dict[str, float]:
    """`share90` of Gaussian noise of each kind's shape."""
    return {kind: share90(lowrank.svd(lowrank.gaussian_like(w, seed)).S) for kind, w in first_of_each_kind(W).items()}


def break_even_shares(W: Mapping[str, Tensor]) -> dict[str, float]:
    """The break-even rank of each kind as a share of its full rank."""
    return {kind: lowrank.break_even_rank(*w.shape) / min(w.shape) for kind, w in first_of_each_kind(W).items()}


def energy_at_break_even(W: Mapping[str, Tensor], parts: Mapping[str, lowrank.SVD]) -> float:
    """The energy that every matrix keeps at least when it is cut to its break-even rank."""
    return min(float(lowrank.energy(parts[name].S)[lowrank.break_even_rank(*w.shape) - 1]) for name, w in W.items())


def weights_by_kind(W: Mapping[str, Tensor]) -> dict[str, float]:
    """Each kind's share of all weights."""
    total = sum(w.numel() for w in W.values())
    return {kind: sum(w.numel() for name, w in W.items() if name.endswith(kind)) / total for kind in KINDS}


@torch.no_grad()
def perplexity_cut(
    base: models.Base,
    whole: Mapping[str, Tensor],
    parts: Mapping[str, lowrank.SVD],
    text: str,
    stored: float,
    kinds: tuple[str, ...] = KINDS,
) -> float:
    """The base's perplexity on `text` with every W of these kinds cut to B·A with `stored` times W's numbers.

    The weights are `whole` before and after.
    """
    layers = {name: base.model.get_submodule(name) for name in whole}
    try:
        for name, layer in layers.items():
            if name.endswith(kinds):
                d, k = whole[name].shape
                B, A = lowrank.factors(parts[name], min(int(stored * d * k / (d + k)), d, k))
                layer.weight.copy_(B @ A)
        return evaluation.perplexity(base, text)
    finally:
        for name, layer in layers.items():
            layer.weight.copy_(whole[name])
