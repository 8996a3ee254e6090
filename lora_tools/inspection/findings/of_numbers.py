"""Findings from the numbers of A and B: what never moved, what is not finite, what was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from ..reading import FLOATS, AdapterFolder
from ..xray import AdaptedMatrix, Finding
from .said import finding, in_towers, named

# Exact zeros are rare in what was trained; an fp16 file with this share of them has lost small numbers.
LOST = 0.01
# Kinds other than LoRA: what of each PEFT begins with so that it changes nothing, and the number in it (PEFT 0.21;
# run here).
STARTS = {
    "ADALORA": ("lora_E", 0),
    "BEFT": ("beft_bias", 0),
    "BOFT": ("boft_R", 0),
    "DELORA": ("delora_B", 0),
    "GRALORA": ("gralora_B", 0),
    "HIRA": ("hira_B", 0),
    "IA3": ("ia3_l", 1),
    "LOHA": ("hada_w2_b", 0),
    "LOKR": ("lokr_w1", 0),
    "MISS": ("miss_block", 0),
    "OFT": ("oft_R", 0),
    "RANDLORA": ("randlora_lambda", 0),
    "SHIRA": ("shira_weight", 0),
    "VERA": ("vera_lambda_b", 0),
    "WAVEFT": ("waveft_spectrum", 0),
}
# A of usual runs ends within about 1.6 times the size that it began with (the course's own four adapters).
FAR = 3.0


def findings(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """All findings from the numbers."""
    yield from _not_finite(opened, matrices)
    yield from _of_another_kind(opened)
    yield from _at_zero(opened, matrices)
    yield from _where_a_is(opened, matrices)
    yield from _lost_in_half_precision(opened, matrices)


def _not_finite(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    paired = {matrix.module for matrix in matrices}
    broken = [matrix.module for matrix in matrices if matrix.norm is None]
    others = (one for one in opened.tensors if one.module not in paired or one.role not in ("A", "B"))
    broken += [one.key for one in others if one.dtype in FLOATS and not opened.is_finite(one)]
    if broken:
        yield finding("not_finite", many=len(broken), s="s" * (len(broken) > 1), first=broken[0])


def _of_another_kind(opened: AdapterFolder) -> Iterator[Finding]:
    """Whether what makes an adapter of a kind other than LoRA change anything stands where PEFT began it,
    everywhere."""
    part, start = STARTS.get(opened.settings.kind, ("", 0))
    parts = [one for one in opened.tensors if part and f".{part}" in one.key and one.dtype in FLOATS]
    if parts and all(bool((opened.read(one) == start).all()) for one in parts):
        yield finding("never_moved", part=part, start=start, where=named([one.module for one in parts], len(parts)))


def _at_zero(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    if both := [one.module for one in matrices if one.a_zero and one.b_zero]:
        yield finding("ab_both_zero", where=named(both, len(matrices)))
    # LoRA on an embedding, and MiCA everywhere, start the other way round in PEFT: A at zero.
    mica = opened.settings.starts("mica")
    still = [
        one.module
        for one in matrices
        if (one.a_zero, one.b_zero) == ((True, False) if mica or one.on_embedding else (False, True))
    ]
    if not still:
        return
    experts = {one.module for one in matrices if re.search(r"\.experts\.\d+\.", one.module)}
    if len(still) == len(matrices):
        row = "b_never_moved"
    elif {*still} < experts:
        row = "b_of_experts_never_moved"
    else:
        # texts give what sees or hears no gradient: halo's agent-docs/optimization/peft.md (September 2026)
        row = "b_of_towers_never_moved" if in_towers(still) else "b_of_some_never_moved"
    yield finding(
        row,
        what="A" if mica else "B (on an embedding, A)" if any(one.on_embedding for one in matrices) else "B",
        where=named(still, len(matrices)),
    )


def _where_a_is(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """Only for PEFT's usual start, A uniform within ±1/√k; which start it was is the configuration's word."""
    seen = [one for one in matrices if one.moves and one.a_reach is not None]
    if opened.settings.init_lora_weights or not seen:
        return
    within = [one.module for one in seen if (one.a_reach or 0) <= 1]
    if len(within) == len(seen):
        few = f"the {len(seen)} of {len(matrices)} matrices in which that can be seen"
        where = named(within, len(seen)) if len(seen) == len(matrices) else few
        yield finding("a_never_moved", where=where)
    grown = [one.a_growth for one in seen if one.a_growth is not None]
    if grown and (growth := median(grown)) >= FAR:
        yield finding("a_far_from_start", growth=growth)


def _lost_in_half_precision(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    halves = {one.module for one in opened.tensors if one.dtype == "F16"}
    lost = [one for one in matrices if one.module in halves and one.zeros > LOST and not one.on_embedding]
    if lost:
        most = max(lost, key=lambda one: one.zeros)
        yield finding(
            "half_precision_zeros",
            share=most.zeros,
            most=most.module,
            where=named([one.module for one in lost], len(matrices)),
        )
