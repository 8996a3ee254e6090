"""Findings from the numbers of A and B: what never moved, what is not finite, what was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from statistics import median

from ..architectures import TOWERS
from ..reading import FLOATS, AdapterFolder
from ..xray import AdaptedMatrix, Finding, Severity

# Exact zeros are rare in what was trained; an fp16 file with this share of them has lost small numbers.
LOST = 0.01
# Kinds other than LoRA: what of each PEFT begins with so that it changes nothing, and the number in it (PEFT 0.21; run here).
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


def named(modules: Sequence[str], of: int) -> str:
    """ "3 of 60 matrices, such as layers.0.q_proj", or "all 60 matrices"."""
    if len(modules) == of:
        return f"all {of} matrices" if of > 1 else f"its one matrix, {modules[0]}"
    return f"{len(modules)} of {of} matrices, such as {modules[0]}"


def _not_finite(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    paired = {matrix.module for matrix in matrices}
    broken = [matrix.module for matrix in matrices if matrix.norm is None]
    others = (one for one in opened.tensors if one.module not in paired or one.role not in ("A", "B"))
    broken += [one.key for one in others if one.dtype in FLOATS and not opened.is_finite(one)]
    if broken:
        yield Finding(
            "not_finite",
            "wrong",
            f"NaN or infinity in {len(broken)} place{'s' * (len(broken) > 1)}, such as {broken[0]} (in the file, or in B·A): whatever they touch becomes NaN. Look at the loss of "
            "that run, lower the learning rate, and train in bf16 rather than fp16.",
            "alpaca-lora#391, lesson 03",
        )


def _of_another_kind(opened: AdapterFolder) -> Iterator[Finding]:
    """Whether what makes an adapter of a kind other than LoRA change anything stands where PEFT began it, everywhere."""
    part, start = STARTS.get(opened.settings.kind, ("", 0))
    parts = [one for one in opened.tensors if part and f".{part}" in one.key and one.dtype in FLOATS]
    if parts and all(bool((opened.read(one) == start).all()) for one in parts):
        yield Finding(
            "never_moved",
            "wrong",
            f"Every number of {part} is {start}, where PEFT begins it, in {named([one.module for one in parts], len(parts))}: the adapter "
            "changes nothing. It was saved before it had learned, or it never got a gradient.",
            "run here with PEFT",
        )


def _at_zero(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    both = [one.module for one in matrices if one.a_zero and one.b_zero]
    if both:
        yield Finding(
            "ab_both_zero",
            "wrong",
            f"A and B are both zero in {named(both, len(matrices))}: each is the other's gradient, so neither can ever move. "
            "Start A at random and B at zero.",
            "lesson 02, lesson 14",
        )
    # LoRA on an embedding, and MiCA everywhere, start the other way round in PEFT: A at zero.
    mica = opened.settings.starts("mica")
    still = [one.module for one in matrices if _at_its_start(one, a_first=mica or one.on_embedding)]
    if not still:
        return
    experts = {one.module for one in matrices if re.search(r"\.experts\.\d+\.", one.module)}
    severity: Severity = "wrong"
    if len(still) == len(matrices):
        reason = "The adapter was saved before it had learned, or its B's never got a gradient."
    elif {*still} < experts:
        severity = "note"
        reason = "These are experts that no token of the training was sent to; the others learned."
    elif in_towers(still):
        # halo's agent-docs/optimization/peft.md (September 2026)
        severity = "note"
        reason = "These belong to what sees or hears: texts alone give it no gradient, nor its layers behind the one that is read; the others learned."
    else:
        reason = "These layers were frozen, or got no gradient, while the others learned."
    yield Finding(
        "b_never_moved",
        severity,
        f"{'A' if mica else 'B (on an embedding, A)' if any(one.on_embedding for one in matrices) else 'B'} is zero in "
        f"{named(still, len(matrices))}: B·A adds nothing there. {reason}",
        "open-unlearning#178, peft#137, lesson 14",
    )


def in_towers(modules: Sequence[str]) -> bool:
    """Whether all of them belong to what sees or hears."""
    return all(not TOWERS.isdisjoint(module.split(".")) for module in modules)


def _at_its_start(one: AdaptedMatrix, a_first: bool) -> bool:
    start, other = (one.a_zero, one.b_zero) if a_first else (one.b_zero, one.a_zero)
    return start and not other


def _where_a_is(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """Only for PEFT's usual start, A uniform within ±1/√k; which start it was is the configuration's word."""
    seen = [one for one in matrices if one.moves and one.a_reach is not None]
    if opened.settings.init_lora_weights or not seen:
        return
    within = [one.module for one in seen if (one.a_reach or 0) <= 1]
    if len(within) == len(seen):
        few = f"the {len(seen)} of {len(matrices)} matrices in which that can be seen"
        where = named(within, len(seen)) if len(seen) == len(matrices) else few
        yield Finding(
            "a_never_moved",
            "note",
            f"Every number of A lies within ±1/√k, where PEFT draws them at the start, in {where}: A was "
            "trained very little, or was kept there, as LoRA-FA does. Only B's movement can be seen.",
            "lesson 03",
        )
    grown = [one.a_growth for one in seen if one.a_growth is not None]
    if grown and (growth := median(grown)) >= FAR:
        yield Finding(
            "a_far_from_start",
            "look",
            f"A is {growth:.1f} times as large as PEFT's usual start makes it (the matrix in the middle): a learning rate that is "
            "too high does that, and so does an A that began otherwise, as one taken from a fine-tuned model. Read its answers to other questions before "
            "you trust its loss.",
            "alpaca-lora#391, lesson 14",
        )


def _lost_in_half_precision(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    halves = {one.module for one in opened.tensors if one.dtype == "F16"}
    lost = [one for one in matrices if one.module in halves and one.zeros > LOST and not one.on_embedding]
    if lost:
        most = max(lost, key=lambda one: one.zeros)
        yield Finding(
            "half_precision_zeros",
            "look",
            f"{most.zeros:.0%} of the numbers in A and B of {most.module} are exactly zero, in an fp16 file, which has no "
            f"number below 0.00000006 ({named([one.module for one in lost], len(matrices))}): they never moved, fill up a "
            "lower rank, or were too small and were lost. In that case train with loss scaling or in bf16.",
            "peft#341, lesson 14",
        )
