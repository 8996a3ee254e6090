"""What lesson 01 measures of the base's matrices, and what it records: one function per cell of the notebook.

How many directions the matrices need, kind by kind, and what is left when they are cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import torch
from torch import Tensor

from ... import evaluation, lowrank, models
from ...course import record, show
from . import pictures

KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def by_layer(W: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The matrices of each layer by kind: {"block 0": {"q_proj": …}, …}."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, w in W.items():
        *_, number, _, kind = name.split(".")  # model.layers.0.self_attn.q_proj
        layers.setdefault(f"block {number}", {})[kind] = w
    return layers


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


def photograph(photo: Tensor) -> None:
    """The photograph's error at rank 20, with and without its brightness, and its break-even rank."""
    contrast = photo - photo.mean()
    whole, alone = (lowrank.relative_error(one, lowrank.truncate(one, 20)) for one in (photo, contrast))
    even = lowrank.break_even_rank(*photo.shape)
    print(f"relative error at rank 20: {whole:.3f}")
    print(f"largest rank that saves anything: {even}")
    record("photo.error_rank20", whole)
    record("photo.error_rank20_centred", alone)
    record("photo.break_even_rank", even, "directions")


def beside_noise(block: Mapping[str, Tensor], seed: int) -> int:
    """How many directions hold 90% of the energy of two matrices of `block`, and of noise; returns q_proj's."""
    q, noise, up = (
        lowrank.rank_for_energy(lowrank.svd(one).S, 0.9)
        for one in (block["q_proj"], lowrank.gaussian_like(block["q_proj"], seed), block["up_proj"])
    )
    record("layer15.q_rank90", q, "of 576 directions")
    record("layer15.q_noise_rank90", noise, "of 576 directions")
    record("layer15.up_rank90", up, "of 576 directions")
    return q


def all_spectra(share: Mapping[str, Sequence[float]], noise: Mapping[str, float], even: Mapping[str, float]) -> None:
    """The share of full rank that keeps 90% of the energy, for every matrix, by kind."""
    mlp = [one for kind in ("gate_proj", "up_proj", "down_proj") for one in share[kind]]
    record("spectrum.share", median([one for kind in share for one in share[kind]]), "of full rank, median of all W")
    record("spectrum.noise_share", median(noise.values()), "of full rank, Gaussian noise")
    record("spectrum.q_share", median(share["q_proj"]), "of full rank, median q_proj")
    record("spectrum.mlp_share", median(mlp), "of full rank, median MLP matrix")
    listed = ", ".join(f"{kind} {median(share[kind]):.0%} (noise {noise[kind]:.0%})" for kind in share)
    show(pictures.rank_shares(share, noise, even), f"median share of full rank that keeps 90% of the energy: {listed}.")


def perplexity(curve: Mapping[float, float], intact: float, energy_kept: float, tokens: int, vocabulary: int) -> None:
    """Perplexity against the numbers stored; `curve` holds it by the share of W's own numbers."""
    record("perplexity.tokens", tokens, "tokens read")
    record("perplexity.intact", intact)
    record("perplexity.full_rank_is_intact", abs(curve[2.0] / intact - 1) < 0.001)
    record("perplexity.break_even_factor", curve[1.0] / intact, "times the intact base's")
    record("perplexity.at_80_percent_factor", curve[0.8] / intact, "times the intact base's")
    record("perplexity.worse_than_blind", curve[1.0] > vocabulary)
    record("perplexity.energy_kept", energy_kept, "of its energy, kept by every W at break-even")
    caption = (
        f"untouched, the base has perplexity {intact:.1f} on this short excerpt (other lessons read a longer one). "
        f"With as many numbers in B and A as in W it is {curve[1.0]:,.0f}, and with 80% of them {curve[0.8]:,.0f}."
    )
    show(pictures.perplexity_by_storage(list(curve), list(curve.values()), intact, vocabulary), caption)


def small_direction(W: Tensor, x: Tensor) -> None:
    """The nine numbers: what is kept when the smallest direction goes, and how far apart cat and dog are then."""
    kept = lowrank.energy(lowrank.svd(W).S).tolist()
    cut = lowrank.truncate(W, 2) @ x
    record("small.energy_rank1", kept[0], "of the energy")
    record("small.energy_rank2", kept[1], "of the energy")
    record("small.apart", float((W @ x)[0] - (W @ x)[1]), "between cat and dog, whole")
    record("small.tie_rank2", bool(torch.isclose(cut[0], cut[1], atol=1e-5)))


def one_kind_at_a_time(by_kind: Mapping[str, float], weights: Mapping[str, float], intact: float) -> None:
    """Perplexity with one kind of matrix cut to equal storage, and which kinds stay within 20% of the intact base."""
    survivors = [kind for kind in by_kind if by_kind[kind] < 1.2 * intact]
    record("kinds.survive", len(survivors), "of 7 kinds within 20%")
    record("kinds.survive_weights", sum(weights[kind] for kind in survivors), "of all weights")
    record("kinds.q_rise", by_kind["q_proj"] / intact - 1, "rise of perplexity, only q_proj cut")
    record("kinds.v_factor", by_kind["v_proj"] / intact, "times the perplexity, only v_proj cut")
    listed = ", ".join(f"{kind} {value:,.0f}" for kind, value in by_kind.items())
    caption = f"perplexity with one kind cut to equal storage: {listed}. Untouched it is {intact:,.0f}."
    show(pictures.perplexity_by_kind(by_kind, weights, intact), caption)
