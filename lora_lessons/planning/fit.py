"""Does it fit, and if not, what then? The longest text that does, the mildest changes,
and the plan in words and as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..errors import ModelError
from ..machine import version
from ..memory.bill import CONTEXT_BYTES, FUSED, GB, SLACK, Bill
from ..memory.job import LONGEST, Job, Shape, shape_of
from ..memory.prediction import Ledger, check, ledgers, predict
from ..paths import ledgers_measured
from .cards import computes_in, find_card
from .margin import PUBLISHED, WHY, fits, is_enough, margin


class Change(NamedTuple):
    """A change to a job, in words, and the bytes that the job takes with it (and all changes before)."""

    what: str
    job: Job
    total: float


class Plan(NamedTuple):
    """A job's ledger beside a card's room; `changes` leads to a job that fits, as far as there is one."""

    name: str
    job: Job
    ledger: Ledger
    room: float  # bytes
    longest: int  # tokens in the longest sequence that fits, all else as in the job; 0: none
    made_for: int | None  # tokens that the model was made for
    changes: list[Change]

    @property
    def fits(self) -> bool:
        return is_enough(self.room, self.ledger.bill.total)


def plan(model: Any, job: Job, room: float, at_once: int = 1) -> Plan:
    """Whether `job` fits into `room` bytes, the longest sequence that does, and what to change first if not.

    `at_once`: sequences that cannot be parted, as the two of a preference.

    Raises as `predict` does.
    """
    shape = shape_of(model)
    ledger = predict(shape, job)
    made_for = check(shape, job).made_for
    changes = [] if is_enough(room, ledger.bill.total) else _changes(shape, job, room, ledger, at_once)
    return Plan(shape.name, job, ledger, room, longest(shape, job, room), made_for, changes)


def plan_on(model: Any, card: str | float, **job: Any) -> Plan:
    """Whether training `model` fits on `card`, the longest sequence that does, and what to change first if not.

    `model` is a name such as "Qwen2.5-7B", a folder with config.json, a .gguf file or a hub id; `card` a name such as
    "RTX 4090", or its GB; `job` in `Job`'s words, such as method="qlora", r=16, seq=1024, in the 16 bits that the card
    computes in. No weights are read. Raises ValueError or ModelError with what to do,
    also for a card that nobody knows.
    """
    _, room = find_card(str(card))
    return plan(model, on_card(Job(**job), card), room)


def on_card(job: Job, card: str | float) -> Job:
    """`job` in the 16 bits that `card` computes in; full fine-tuning keeps what it says."""
    return job if job.method == "full" else replace(job, dtype=computes_in(card))


def in_fp16(job: Job, card: str) -> str:
    """A sentence where Trainer's recipe, which says bf16, is planned in fp16 (see `on_card`); "" elsewhere."""
    if job.recipe == "course" or job.dtype != "fp16":
        return ""
    return f"The {card} has no bf16, so this is the plan for fp16: in Trainer, set fp16=True in place of bf16=True."


def longest(model: Any, job: Job, room: float) -> int:
    """Tokens of the longest sequence with which `job` stays within `room` bytes; 0 when not even one token does."""
    low, high = 0, LONGEST + 1  # fits, does not
    while high - low > 1:
        spread = np.unique(np.geomspace(max(low, 1), high, 66).astype(int)).tolist()
        between = [n for n in spread if low < n < high] or [(low + high) // 2]
        fit = [is_enough(room, ledger.bill.total) for ledger in ledgers(model, job, between)]
        low = max([low, *(n for n, yes in zip(between, fit, strict=True) if yes)])
        high = min([high, *(n for n, yes in zip(between, fit, strict=True) if not yes)])
    return low


def _changes(shape: Shape, job: Job, room: float, ledger: Ledger, at_once: int) -> list[Change]:
    """The mildest single change that makes the job fit; else several, mildest first;
    a shorter text is the last resort."""

    def cost(job: Job) -> float:
        try:
            return predict(shape, job).bill.total
        except (ValueError, ModelError):
            return float("inf")  # adapters of this rank do not fit, or the loss is the model's own: nothing to advise

    def shorter(job: Job) -> list[Change]:
        tokens = longest(shape, job, room)
        made = replace(job, seq=tokens) if tokens else job
        return [Change(f"sequences of at most {tokens:,} tokens", made, cost(made))] if tokens else []

    total = ledger.bill.total
    for what, fields in _options(job, ledger.fast, at_once):
        changed = replace(job, **fields)
        if is_enough(room, now := cost(changed)):
            return [Change(what, changed, now)]
    taken: list[tuple[str, dict[str, Any]]] = []
    best = job
    while not is_enough(room, total):
        helpful = (
            (w, f) for w, f in _options(best, ledger.fast, at_once) if _worth_it(cost(replace(best, **f)), total, room)
        )
        if not (step := next(helpful, None)):
            break
        taken.append(step)
        best = replace(best, **step[1])
        total = cost(best)
    for step in list(taken):  # what a later step made needless is not asked for
        rest = [other for other in taken if other is not step]
        if is_enough(room, cost(_with(job, rest))):
            taken = rest
    changes = [
        Change(w, _with(job, taken[: n + 1]), cost(_with(job, taken[: n + 1]))) for n, (w, _) in enumerate(taken)
    ]
    return changes if is_enough(room, total) else changes + shorter(best)


def _worth_it(now: float, before: float, room: float) -> bool:
    """Whether a step from `before` to `now` bytes is worth its price: it saves what a reader of the plan sees,
    or is the last."""
    return is_enough(room, now) or now < min(0.99 * before, before - 0.1 * GB)


def _with(job: Job, steps: Sequence[tuple[str, dict[str, Any]]]) -> Job:
    for _, fields in steps:
        job = replace(job, **fields)
    return job


def _options(job: Job, fast: bool, at_once: int) -> list[tuple[str, dict[str, Any]]]:
    """Changes that save memory, in words and as fields of the job, the mildest first;
    the fast path has its own loss."""
    half, adapters = "bf16" if job.dtype == "fp32" else job.dtype, job.method != "full"
    changes: list[tuple[bool, str, dict[str, Any]]] = [
        (
            not job.gradient_checkpointing,
            "checkpointing (each block is computed twice: slower, the same result)",
            {"gradient_checkpointing": True},
        ),
        (
            job.loss not in FUSED and not fast,
            "a fused loss, which never holds all logits (SFTTrainer since TRL 1.7, Unsloth, Liger)",
            {"recipe": "trl"} if job.recipe == "course" and adapters else {"loss": "fused"},
        ),
        (
            job.batch_size > at_once,
            f"one {'sequence' if at_once == 1 else 'pair'} at a time, gradients summed over several",
            {"batch_size": at_once, "gradient_accumulation_steps": job.examples_per_step // at_once},
        ),
        (
            job.optimizer in ("adamw", "adamw_fused", "paged_adamw"),
            "AdamW's moments in 8 bits and in pageable memory (paged_adamw_8bit)",
            {"optimizer": "paged_adamw_8bit"},
        ),
        (
            job.recipe == "hf" and job.method == "qlora",
            "embeddings, head and norms left in 16 bits, and no autocast (recipe course)",
            # PEFT's layers and the fused AdamW were hf's own
            {"recipe": "course", "layer": "ours"} | ({"optimizer": "adamw"} if job.optimizer == "adamw_fused" else {}),
        ),
        (not adapters, "LoRA: the base is frozen, adapters alone train", {"method": "lora", "dtype": half}),
        (job.method != "qlora", "QLoRA: the base is frozen in NF4", {"method": "qlora", "dtype": half}),
        (adapters and job.r > 8, "rank 8", {"r": 8}),
    ]
    return [(what, fields) for helps, what, fields in changes if helps]


def parameters(shape: Shape, job: Job) -> dict[str, int]:
    """How many numbers the model has, and how many are trained."""
    parts = check(shape, job)
    beside = parts.by_peft if parts.by_peft and job.recipe != "course" else parts.beside
    return {"model": parts.parameters, "trained": parts.parameters if job.method == "full" else job.r * beside}


def parameters_in_words(shape: Shape, job: Job) -> str:
    """`parameters` in a sentence, as PEFT counts the share of those that are trained."""
    count = parameters(shape, job)
    if job.method == "full":
        return f"Trained: all {count['model']:,} parameters of the model."
    said = f"{count['trained']:,} parameters in A and B, {_share(count):.2%} of all"
    if job.recipe == "course" and check(shape, job).by_peft:
        theirs = parameters(shape, replace(job, recipe="hf"))
        said += (
            f", by this course's loop; {theirs['trained']:,}, {_share(theirs):.2%}, "
            f"by PEFT {version('peft')} (Trainer, SFTTrainer)"
        )
    return f"Trained: {said}. The model itself has {count['model']:,}."


def _share(count: dict[str, int]) -> float:
    return count["trained"] / (count["model"] + count["trained"])


METHOD_NAMES = {"full": "full fine-tuning", "lora": "LoRA", "qlora": "QLoRA"}
RECIPE_NAMES = {
    "course": "",
    "hf": ", the usual Hugging Face recipe",
    "trl": ", as TRL's SFTTrainer does it",
    "unsloth": ", as Unsloth does it (the blocks' inputs wait in the computer's memory)",
}
LOSS_NAMES = {
    "whole": "",
    "shifted": ", logits copied to shift them",
    "chunked": ", the loss in chunks",
    "fused": ", a fused loss",
    "liger": ", a fused loss, norms and SwiGLU",
}
TRAINERS = {
    "unsloth": "Unsloth",
    "trl": "TRL's SFTTrainer",
    "hf": "Trainer with transformers' own loss",
    "course": "this course's loop",
}
SAID = {
    "forward": "the forward pass",
    "loss": "the loss",
    "last block": "the backward pass through the last block",
    "middle blocks": "the backward pass through the blocks",
    "first block": "the end of the backward pass",
    "optimizer step": "the optimizer's step",
}
PEAKS = {"loss": "memory peaks while the loss is computed"} | {
    moment: f"memory peaks {'at' if moment == 'first block' else 'in'} {place}"
    for moment, place in SAID.items()
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


def usual(shape: Shape, job: Job) -> Job:
    """The course's `job` as most people run it: by TRL's SFTTrainer, or by Trainer where no fused loss can be."""
    try:
        predict(shape, made := replace(job, recipe="trl"))
    except ValueError:  # the loss is the model's own, or adapters of the head
        return replace(job, recipe="hf")
    return made


def by_trainer(shape: Shape, job: Job) -> dict[str, float]:
    """The bytes that the course's `job` takes with each of TRAINERS that can be planned, the least first."""
    sizes = {}
    for recipe in TRAINERS:
        try:
            ledger = predict(shape, replace(job, recipe=recipe))
        except (ValueError, ModelError):
            continue  # adapters of the head, a mixture in 4 bits
        # of a mixture Unsloth brings experts and adapters of its own, of which gpt-oss's are planned
        if not (recipe == "unsloth" and ledger.experts and job.method != "full"):
            sizes[recipe] = ledger.bill.total
    return dict(sorted(sizes.items(), key=lambda one: one[1])) if len(sizes) > 1 else {}


def trainers_in_words(sizes: dict[str, float], room: float, recipe: str) -> str:
    """What each trainer takes, and how to plan for another than that of `recipe`; "" where there is no other."""
    if not sizes:
        return ""
    named = ", ".join(
        f"{TRAINERS[name]} ({size / GB:.1f} GB{'' if is_enough(room, size) else ', too much'})"
        for name, size in sizes.items()
    )
    others = ", ".join(name for name in sizes if name != recipe)
    return (
        f"By trainer: {named}. This is the plan for {TRAINERS[recipe]}: for another add --recipe ({others}), "
        "or --loss liger for Liger's kernels."
    )


WITHOUT_MARGIN = "That is less than the card, but not by the margin: try it, and watch its first steps."


def verdict(plan: Plan, card: str, sizes: dict[str, float] | None = None) -> str:
    """Whether it fits, the longest sequence that does, what to change first, and whether a card ever checked:
    sentences.

    `sizes` as `by_trainer` has them, where no trainer was named.
    """
    room = plan.room
    says = [fits(plan.ledger.bill.total, room, card), trainers_in_words(sizes or {}, room, plan.job.recipe)]
    if plan.longest:
        more = f" (the model was made for {plan.made_for:,})" if plan.made_for and plan.longest > plan.made_for else ""
        says.append(
            f"The longest sequence that fits with these settings and the margin has {plan.longest:,} tokens{more}."
        )
    else:
        says.append("With these settings and the margin not even one token fits.")
    if plan.changes:
        steps = "; then ".join(f"{c.what}: {c.total / GB:.1f} GB" for c in plan.changes)
        says.append(f"Change first: {steps}.")
    least = plan.changes[-1].total if plan.changes else plan.ledger.bill.total
    if not is_enough(room, least):
        tried = "Even that is not enough" if plan.changes else "Nothing that this planner knows makes it fit"
        says.append(WITHOUT_MARGIN if least < room else f"{tried}: you need a larger card or a smaller model.")
    return " ".join(filter(None, [*says, validated()]))


def cards_measured() -> list[str]:
    """The recordings of `lora-lessons bench memory` on a card, by file name; none until someone has run it on one."""
    return [name for name in ledgers_measured() if name != "ledger_processor"]


def validated() -> str:
    """Whether any card has checked such a plan: a sentence."""
    if cards := cards_measured():
        return f"Plans like this one were checked on {len(cards)} card{'s' * (len(cards) > 1)} (data/measurements/)."
    return "This plan is not validated on a GPU: no card has measured it yet."


def bill_table(ledger: Ledger) -> str:
    """The ledger as lines of text in GB, for the fullest moment, and the total of each other moment."""
    rows = [f"{name:<25}{size / GB:>9.3f} GB" for name, size in ledger.bill.lines.items() if size > 5e5]
    rows += [f"{'total':<25}{ledger.bill.total / GB:>9.3f} GB   {PEAKS[ledger.moment]}"]
    rows += [f"{'margin':<25}{margin(ledger.bill.total) / GB:>9.3f} GB   {WHY}; {PUBLISHED[ledger.recipe]}"]
    if ledger.paged:
        rows += [
            f"{'(paged out)':<25}{ledger.paged / GB:>9.3f} GB   AdamW's moments, which wait in the computer's memory"
        ]
    others = [f"{SAID[name]} {bill.total / GB:.2f}" for name, bill in ledger.moments.items() if name != ledger.moment]
    return "\n".join([*rows, "Other moments, in GB: " + ", ".join(others) + ".", *notes(ledger)])


def notes(ledger: Ledger) -> list[str]:
    """What a reader of the bill would not expect: a sentence each."""
    says = [
        (
            ledger.fast,
            "This is the fast path (deeper/08_faster), with texts that share no beginning and all of their tokens "
            "supervised: "
            "your own data takes less.",
        ),
        (
            ledger.plain,
            f"This model trains the plain way, without the fast path of deeper/08_faster: {ledger.plain}.",
        ),
        (
            ledger.half_of,
            (
                f"This counts only the language half of the {ledger.half_of} model. "
                "The part that sees or hears comes on top."
            ),
        ),
        (
            ledger.experts and ledger.bill.quantization,
            f"{ledger.experts / GB:.2f} GB of the weights are the experts of a mixture, which stay unpacked: they "
            "are stacked in one weight, and bitsandbytes packs only the weights of Linear layers. (Of gpt-oss, Unsloth "
            "has one in 4 bits with experts as Linear layers, unsloth-zoo#885: plan that with --recipe unsloth.)",
        ),
        (
            ledger.loading > ledger.bill.total,
            f"Loading: transformers 5.0 to 5.3 may hold all {ledger.loading / GB:.1f} GB of the 16-bit weights on the "
            "card before they are packed (transformers#43032). From 5.4 on it packs them one by one, "
            "as this course does.",
        ),
        (
            ledger.recipe == "hf" and ledger.bill.logits > GB,
            "Trainer lets the model's outputs go before the way back. A loop of your own that keeps them there, as "
            "`outputs.loss.backward()` does, holds 2 to 4 more bytes of each logit (fitcheck's "
            "runs of September 2026).",
        ),
        *_of_experts(ledger),
    ]
    return [sentence for applies, sentence in says if applies]


def _of_experts(ledger: Ledger) -> list[tuple[object, str]]:
    """What is adapted of a mixture's experts, and what is not: whether to say a sentence, and the sentence."""
    peft, such_as = f"PEFT {version('peft')}", ledger.left_out[0][0] if ledger.left_out else ""
    numbers = sum(size for _, size in ledger.left_out)
    return [
        (
            ledger.left_out,
            f"{'This course' if ledger.peft_adds else 'LoRA'} leaves out {numbers:,} numbers in {len(ledger.left_out)} "
            f"weights of experts, such as {such_as}: they stay as they are"
            + ("." if ledger.peft_adds else f", in {peft} too unless its target_parameters names them."),
        ),
        (
            ledger.peft_adds,
            (
                f"With these targets {peft} also adapts {' and '.join(ledger.peft_adds)}, "
                "no Linear layers in transformers 5"
            )
            + f", and leaves out {ledger.peft_skips} Linear layers named like its experts (peft#3711)"
            * bool(ledger.peft_skips)
            + ". Earlier ones may not (peft#3232, June 2026): compare print_trainable_parameters() before you train.",
        ),
        (
            ledger.recipe == "unsloth" and (ledger.left_out or ledger.peft_adds),
            "Unsloth chooses a mixture's experts by a rule of its own, which is not counted here: "
            'its line "Enabling LoRA on MoE '
            'parameters" names them.',
        ),
    ]


ASSUMED = (
    "Counted: every tensor that today's libraries make (transformers before 4.49 and bitsandbytes before 0.43.2 make "
    f"more). Assumed, because only a card can tell: {CONTEXT_BYTES / GB:g} GB for CUDA's context, {SLACK:.0%} "
    "that PyTorch's allocator cannot hand out again, a fused attention kernel, and sequences without padding. Kernels "
    "that keep less of a block are counted where they are named (--loss liger, --recipe unsloth). "
    "`lora-lessons bench memory` measures them on your card."
)


def _settings(job: Job) -> dict[str, Any]:
    """A changed job as plain data: what a plan depends on, and over how many batches gradients are summed."""
    return job.counted() | {"gradient_accumulation_steps": job.gradient_accumulation_steps}


def as_json(shape: Shape, job: Job, ledger: Ledger, plan: Plan | None, card: str) -> dict[str, Any]:
    """All of it as plain data, sizes in bytes; no `plan` where there is no card."""

    def lines(bill: Bill) -> dict[str, int]:
        return {name: round(size) for name, size in (bill._asdict() | {"total": bill.total}).items()}

    return {
        "model": shape.name,
        "job": job.counted(),
        "parameters": parameters(shape, job),
        "bill": lines(ledger.bill),
        "margin": round(margin(ledger.bill.total)),
        "moment": ledger.moment,
        "moments": {name: lines(bill) for name, bill in ledger.moments.items()},
        "paged": round(ledger.paged),
        "experts": round(ledger.experts),
        "loading": round(ledger.loading),
        "notes": notes(ledger),
        "assumed": {"context_bytes": CONTEXT_BYTES, "slack": SLACK},
        "cards_measured": cards_measured(),
        # what only a card answers is null without one
        "card": card or None,
        "room": round(plan.room) if plan else None,
        "fits": plan.fits if plan else None,
        "longest": plan.longest if plan else None,
        "change_first": [
            {"what": c.what, "job": _settings(c.job), "total": round(c.total)} for c in (plan.changes if plan else ())
        ],
    }
