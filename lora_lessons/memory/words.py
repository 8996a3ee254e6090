"""The plan in words: the job, the bill as a table, whether it fits, and all of it as plain data."""

from __future__ import annotations

from typing import Any

from ..paths import ledgers_measured
from .bill import CONTEXT_BYTES, GB, LINES, SLACK, Bill
from .fit import Plan
from .job import Job, Shape
from .prediction import Ledger

METHOD_NAMES = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
RECIPE_NAMES = {"course": "", "hf": ", the usual Hugging Face recipe"}
LOSS_NAMES = {"whole": "", "shifted": ", logits copied to shift them", "chunked": ", the loss in chunks"}
SAID = {
    "forward": "the forward pass",
    "loss": "the loss",
    "last block": "the backward pass through the last block",
    "middle blocks": "the backward pass through the blocks",
    "first block": "the end of the backward pass",
    "optimizer step": "the optimizer's step",
}
PEAKS = {"loss": "memory peaks while the loss is computed"} | {
    moment: f"memory peaks {'at' if moment == 'first block' else 'in'} {said}"
    for moment, said in SAID.items()
    if moment != "loss"
}


def describe(job: Job) -> str:
    """The job in words."""
    how = (
        f"{METHOD_NAMES[job.method]} in {job.dtype}"
        if job.method == "full"
        else f"{METHOD_NAMES[job.method]} at r = {job.r}"
    )
    sequences = f"{job.batch_size} sequence{'s' * (job.batch_size > 1)} of {job.seq:,} tokens"
    on = "on" if job.gradient_checkpointing else "off"
    return f"{how}, {sequences}, checkpointing {on}{RECIPE_NAMES[job.recipe]}{LOSS_NAMES[job.loss]}"


def verdict(plan: Plan, card: str) -> str:
    """Whether it fits, the longest sequence that does, what to change first, and whether a card ever checked: sentences."""
    room = plan.room
    says = [fits(plan.ledger.bill.total, room, card)]
    if plan.longest:
        more = f" (the model was made for {plan.made_for:,})" if plan.made_for and plan.longest > plan.made_for else ""
        says.append(f"The longest sequence that fits with these settings has {plan.longest:,} tokens{more}.")
    else:
        says.append("With these settings not even one token fits.")
    if plan.changes:
        steps = "; then ".join(f"{c.what}: {c.total / GB:.1f} GB" for c in plan.changes)
        enough = (
            ""
            if plan.changes[-1].total <= room
            else ". Even that is not enough: you need a larger card or a smaller model"
        )
        says.append(f"Change first: {steps}{enough}.")
    elif not plan.fits:
        says.append("Nothing that this planner knows makes it fit: you need a larger card or a smaller model.")
    return " ".join([*says, validated()])


def fits(needed: float, room: float, card: str) -> str:
    """The answer to every plan, in a sentence: whether `needed` bytes fit into the `room` of `card`, and both in GB."""
    which = card[0].lower() + card[1:] if card.startswith(("A ", "The ", "Each ")) else f"the {card}"
    answer = "It fits" if needed <= room else "It does not fit"
    return f"{answer}: {needed / GB:.1f} GB are needed, and {which} holds {room / GB:.1f}."


def cards_measured() -> list[str]:
    """The recordings of `lora-lessons bench memory` on a card, by file name; none until someone has run it on one."""
    return [name for name in ledgers_measured() if name != "ledger_processor"]


def validated() -> str:
    """Whether any card has checked such a plan: a sentence."""
    if found := cards_measured():
        return f"Plans like this one were checked on {len(found)} card{'s' * (len(found) > 1)} (data/measurements/)."
    return "This plan is not validated on a GPU: no card has measured it yet, so leave some room."


def bill_table(ledger: Ledger) -> str:
    """The ledger as lines of text in GB, for the fullest moment, and the total of each other moment."""
    rows = [f"{name:<24}{size / GB:>9.3f} GB" for name, size in zip(LINES, ledger.bill, strict=True) if size > 5e5]
    rows += [f"{'total':<24}{ledger.bill.total / GB:>9.3f} GB   {PEAKS[ledger.moment]}"]
    if ledger.paged:
        rows += [
            f"{'(paged out)':<24}{ledger.paged / GB:>9.3f} GB   AdamW's moments, which wait in the computer's memory"
        ]
    others = [f"{SAID[name]} {bill.total / GB:.2f}" for name, bill in ledger.moments.items() if name != ledger.moment]
    return "\n".join([*rows, "Other moments, in GB: " + ", ".join(others) + ".", *notes(ledger)])


def notes(ledger: Ledger) -> list[str]:
    """What a reader of the bill would not expect: a sentence each."""
    says = []
    if ledger.fast:
        says.append(
            "This is the fast path (lesson 12), with texts that share no beginning and all of their tokens supervised: "
            "your own data takes less."
        )
    if ledger.plain:
        says.append(f"This model trains the plain way, without the fast path of lesson 12: {ledger.plain}.")
    if ledger.half_of:
        says.append(
            f"This counts only the language half of the {ledger.half_of} model. The part that sees or hears comes on top."
        )
    if ledger.experts and ledger.bill.quantization:
        says.append(
            f"{ledger.experts / GB:.2f} GB of the base weights are the experts of a mixture, which stay unpacked: they "
            "are stacked in one weight, and bitsandbytes packs only the weights of Linear layers."
        )
    if ledger.left_out:
        numbers = sum(size for _, size in ledger.left_out)
        says.append(
            f"LoRA leaves out {numbers:,} numbers in {len(ledger.left_out)} weights of experts, such as "
            f"{ledger.left_out[0][0]}: they stay as they are. PEFT's target_parameters would adapt them."
        )
    return says


ASSUMED = (
    "Counted: every tensor that today's libraries make (transformers before 4.49 and bitsandbytes before 0.43.2 make more). "
    f"Assumed, because only a card can tell: {CONTEXT_BYTES / GB:g} GB for CUDA's context, {SLACK:.0%} "
    "that PyTorch's allocator cannot hand out again, a fused attention kernel, and sequences without padding. "
    "`lora-lessons bench memory` measures them on your card."
)


def _settings(job: Job) -> dict[str, Any]:
    """A changed job as plain data: what a plan depends on, and over how many batches gradients are summed."""
    return job.counted() | {"gradient_accumulation_steps": job.gradient_accumulation_steps}


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
        "cards_measured": cards_measured(),
    }
    if plan is not None:
        made |= {
            "card": card,
            "room": round(plan.room),
            "fits": plan.fits,
            "longest": plan.longest,
            "change_first": [{"what": c.what, "job": _settings(c.job), "total": round(c.total)} for c in plan.changes],
        }
    return made
