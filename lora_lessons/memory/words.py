"""The plan in words: the job, the bill as a table, whether it fits, and all of it as plain data."""

from __future__ import annotations

from typing import Any

from .bill import CONTEXT_BYTES, GB, LINES, SLACK, Bill
from .fit import Plan
from .job import Job, Shape
from .prediction import Ledger

METHOD_NAMES = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
SAID = {
    "forward": "the forward pass",
    "loss": "the loss",
    "last block": "the way back through the last block",
    "middle blocks": "the way back through the blocks",
    "first block": "the end of the way back",
    "optimizer step": "the optimizer's step",
}


def describe(job: Job) -> str:
    """The job in words."""
    how = (
        f"{METHOD_NAMES[job.method]} in {job.dtype}"
        if job.method == "full"
        else f"{METHOD_NAMES[job.method]} at r = {job.r}"
    )
    sequences = f"{job.batch_size} sequence{'s' * (job.batch_size > 1)} of {job.seq:,} tokens"
    return f"{how}, {sequences}, checkpointing {'on' if job.gradient_checkpointing else 'off'}"


def verdict(plan: Plan, card: str) -> str:
    """Fits or not, the longest sequence that does, and what to change first: sentences."""
    total, room = plan.ledger.bill.total, plan.room
    gb = f"{abs(room - total) / GB:.1f} GB"
    fits = f"it fits, and {gb} are free" if plan.fits else f"it does not fit, {gb} are missing"
    says = [f"{card} holds {room / GB:.1f} GB: {fits}."]
    if plan.longest:
        more = f" (the model was made for {plan.made_for:,})" if plan.made_for and plan.longest > plan.made_for else ""
        says.append(f"The longest sequence that fits: {plan.longest:,} tokens{more}.")
    else:
        says.append("As set, not even one token fits.")
    if plan.changes:
        steps = "; then ".join(f"{c.what}: {c.total / GB:.1f} GB" for c in plan.changes)
        enough = (
            ""
            if plan.changes[-1].total <= room
            else ". Even so it does not fit: a larger card or a smaller model is needed"
        )
        says.append(f"Change first: {steps}{enough}.")
    elif not plan.fits:
        says.append("Nothing that this planner knows makes it fit: a larger card or a smaller model is needed.")
    return " ".join(says)


def bill_table(ledger: Ledger) -> str:
    """The ledger as lines of text in GB, for the fullest moment, and the total of each other moment."""
    rows = [f"{name:<24}{size / GB:>9.3f} GB" for name, size in zip(LINES, ledger.bill, strict=True) if size > 5e5]
    rows += [f"{'total':<24}{ledger.bill.total / GB:>9.3f} GB   at the fullest moment: {SAID[ledger.moment]}"]
    if ledger.paged:
        rows += [f"{'(paged out)':<24}{ledger.paged / GB:>9.3f} GB   AdamW's moments, in the computer's memory"]
    others = [f"{SAID[name]} {bill.total / GB:.2f}" for name, bill in ledger.moments.items() if name != ledger.moment]
    return "\n".join([*rows, "Other moments, in GB: " + ", ".join(others) + ".", *notes(ledger)])


def notes(ledger: Ledger) -> list[str]:
    """What a reader of the bill would not expect: a sentence each."""
    says = []
    if ledger.half_of:
        says.append(
            f"Only the language half of this {ledger.half_of} model is counted: what it sees or hears with comes on top."
        )
    if ledger.experts and ledger.bill.quantization:
        says.append(
            f"Of the base weights, {ledger.experts / GB:.2f} GB are the experts of a mixture, which stay unpacked: they are "
            "stacked in one weight, and bitsandbytes packs the weights of Linear layers alone."
        )
    if ledger.left_out:
        numbers = sum(size for _, size in ledger.left_out)
        says.append(
            f"LoRA leaves out {numbers:,} numbers in {len(ledger.left_out)} weights of experts, such as "
            f"{ledger.left_out[0][0]}: they stay as they are. PEFT's target_parameters would adapt them."
        )
    return says


ASSUMED = (
    f"Assumed, not measured: {CONTEXT_BYTES / GB:g} GB for CUDA's context and {SLACK:.0%} for the allocator's "
    "slack; a fused attention kernel; sequences without padding. `lora-lessons bench memory` measures."
)


def as_json(shape: Shape, job: Job, ledger: Ledger, plan: Plan | None, card: str) -> dict[str, Any]:
    """All of it as plain data, sizes in bytes."""

    def lines(bill: Bill) -> dict[str, int]:
        return {name: round(size) for name, size in (bill._asdict() | {"total": bill.total}).items()}

    made: dict[str, Any] = {
        "model": shape.name,
        "job": job.counted(),
        "bill": lines(ledger.bill),
        "moment": ledger.moment,
        "moments": {name: lines(bill) for name, bill in ledger.moments.items()},
        "paged": round(ledger.paged),
        "experts": round(ledger.experts),
        "notes": notes(ledger),
        "assumed": {"context_bytes": CONTEXT_BYTES, "slack": SLACK},
    }
    if plan is not None:
        made |= {
            "card": card,
            "room": round(plan.room),
            "fits": plan.fits,
            "longest": plan.longest,
            "change_first": [{"what": c.what, "job": c.job.counted(), "total": round(c.total)} for c in plan.changes],
        }
    return made
