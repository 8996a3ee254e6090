"""What lesson 07 measures and records; what a 4-bit base costs, seed by seed, is read from recordings.

They ship with the course, and hold two bases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from torch import nn

from ... import memory, training
from ...course import record, show
from ...experiments import never_rounded, sweep
from . import by_hand, pictures

RIVALS = ("nf4+double", "fp4", "int4")
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def on_our_base() -> dict[str, list[dict[str, Any]]]:
    """SmolLM2-135M, rounded once before it reached us: three seeds of lesson 03's training per form of the base."""
    runs = sweep.read_table(sweep.recorded("lesson_07_bases"))
    return {base: [run for run in runs if run["base_format"] == base] for base in sweep.BASES}


def on_the_control() -> dict[str, list[dict[str, Any]]]:
    """all-MiniLM-L6-v2, never rounded: the small task of `never_rounded`, by form of the base."""
    runs = never_rounded.recorded()["runs"]
    return {base: [run for run in runs if run["base"] == base] for base in ("16-bit", *RIVALS)}


def costs(on: Runs) -> dict[str, sweep.Summary]:
    """How far each 4-bit base ends above 16-bit (nats, held-out), seed by seed, with its 95% interval."""
    return {base: sweep.paired(on[base], on["16-bit"]) for base in RIVALS}


# ---- what is recorded ----


def fits(model: str, cards: Sequence[str]) -> None:
    """What a step of `model` holds with its base in 16 and in 4 bits, and which of the cards hold that."""
    jobs = {"LoRA, base in 16 bits": "lora", "QLoRA, base in 4 bits": "qlora"}
    bills = {name: memory.predict(model, _step(method)).bill for name, method in jobs.items()}
    show(*pictures.fits(bills, model, cards))


def _step(method: str, checkpointing: bool = True) -> memory.Job:
    """One text of 1,024 tokens by PEFT's layers at rank 8, every logit at once."""
    return memory.Job(method, r=8, seq=1024, layer="peft", gradient_checkpointing=checkpointing)


def record_kept(naive: int, yours: int) -> None:
    """What two products with a packed W keep for the way back."""
    record("kept.naive", naive, "bytes")
    record("kept.ours", yours, "bytes")


def record_packed(model: nn.Module, intact: float, rounded: float) -> None:
    """How much smaller the linear layers are that `by_hand.attach` packed, and how much worse the model, untrained."""
    layers: list[Any] = [one for one in model.modules() if hasattr(one, "lora_A")]
    before = sum(4 * one.lora_B.shape[0] * one.lora_A.shape[1] for one in layers)
    record("byhand.shrinks", before / sum(map(by_hand.packed_bytes, layers)), "times smaller than fp32")
    record("cost.before", rounded - intact, "nats above, untrained, on the held-out topics")


def record_same(yours: Sequence[float], library: Sequence[float]) -> None:
    """Whether two models had the same losses, up to rounding."""
    record("library.same", max(abs(a - b) for a, b in zip(yours, library, strict=True)) < 1e-3)


def record_costs(ours: Runs, control: Runs) -> sweep.Summary:
    """What 4 bits cost on either base, in one picture; returns what NF4 with double quantization costs on ours."""
    cost, cost_control = costs(ours), costs(control)
    for name, form in (("nf4_double", "nf4+double"), ("fp4", "fp4"), ("int4", "int4")):
        record(f"cost.{name}", cost[form].mean, "nats above 16-bit, trained, seed by seed")
    nf4 = cost_control["nf4+double"]
    record("cost.nf4_double_apart", cost["nf4+double"].low > 0)
    record("control.nf4_double", nf4.mean, "nats above 16-bit, trained, seed by seed")
    record("control.nf4_double_apart", nf4.low > 0)
    record("control.right", mean(run["accuracy"] for run in control["16-bit"]), "of held-out orders, 16-bit, recorded")
    found = {"SmolLM2-135M, rounded once before": cost, "all-MiniLM-L6-v2, never rounded": cost_control}
    show(*pictures.costs_on_two_bases(found))
    return cost["nf4+double"]


def record_ledger(lines: Sequence[Any]) -> None:
    """Whether every line of the ledger was predicted to within one percent."""
    record("ledger.within_1_percent", all(abs(line.error) < 0.01 for line in lines))


def record_step(model: str) -> None:
    """What a QLoRA step of `model` holds from moment to moment, with checkpointing and without."""
    on, off = (memory.predict(model, _step("qlora", checkpointing)) for checkpointing in (True, False))
    record("step.with", on.bill.total / memory.GB, f"GB at the peak, {model}, 1,024 tokens, planned")
    record("step.without", off.bill.total / memory.GB, f"GB at the peak, {model}, 1,024 tokens, planned")
    show(*pictures.over_one_step(on, off, model))


def record_arithmetic(model: nn.Module, batch: Any) -> None:
    """How much more arithmetic a step needs when every block is computed again on the way back."""
    plain = training.step_flops(model.train(), batch)
    with training.checkpointing(model):
        record("checkpointing.arithmetic", training.step_flops(model, batch) / plain, "times the products of a step")
