"""What other trainers read in a line and this course does not: fields beside its messages, and fields of these."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lora_lessons.tasks.jsonl import said

# Fields that often belong to the conversation, and that no layout reads. They are those of the trainers' own pages on
# data (axolotl, LLaMA-Factory, ms-swift, TRL, verl, OpenAI; read in November 2026) and of well-known data sets.
THINKING = {"thought", "thoughts", "rationale", "cot", "complex_cot", "chain_of_thought"}
SAID = {
    *("history", "context", "input", "query", "question", "instruction", "system", "system_prompt"),
    *("systeminstruction", "functions", "documents", "passage", "passages", "reasoning", "reasoning_content"),
    *("thinking", "label", "labels", *THINKING),
    *("kto_tag", "rejected", "rejected_response", "rejected_messages", "rejected_conversations"),
    *("rejected_images", "negative_messages", "positive_messages", "objects"),
}
# Fields that say which answers are learned, or how much.
MASKS = {
    *("mask", "loss_mask", "loss_masks", "train_mask", "completion_mask", "assistant_mask", "assistant_masks"),
    *("loss_scale", "weight", "weights", "mask_history", "train", "training", "trainable", "train_on_turn"),
    *("train_on_input", "train_on_inputs"),
}
# Fields that hold what is seen or heard beside a conversation, or where it lies.
SEEN_OR_HEARD = ("image", "images", "video", "videos", "audio", "audios")
# How trainers mark an answer that is not to be learned, each in its own files: axolotl, slime and ms-swift, verl
# (2026). What says so where it is off, and where it is on; and what marks a part of an answer, or how much it counts.
TAUGHT_UNLESS_OFF, TAUGHT_UNLESS_ON = ("train", "training", "trainable", "loss", "loss_mask"), ("mask", "masked")
IN_PART, BY_WEIGHT = ("train_detail", "training_detail", "spans"), ("loss_scale", "weight")


# KTO's fields of TRL (prompt, completion, label) and of LLaMA-Factory: whether an answer is a good one.
VERDICTS = ("label", "kto_tag")


def verdict(example: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The field that says whether an answer is a good one, and what it says; None where there is none."""
    return next(((name, example[name]) for name in VERDICTS if isinstance(example.get(name), bool)), None)


def unread_fields(example: Mapping[str, Any], read: Collection[str] = ()) -> Iterator[str]:
    """A sentence for each field beside the messages that may belong to them and is not read;
    `read` are those that are."""
    text = "\n".join(said(message) for message in example["messages"])
    for name, value in example.items():
        known = name.lower()
        if name in read or known not in SAID | MASKS or value in (None, "", [], {}):
            continue
        # a label that is no verdict says what the line is about; of one that is, kto_label tells
        about = known in (*VERDICTS, "labels") and str(value).lower() not in ("0", "1", "true", "false")
        if about or (known in VERDICTS and isinstance(value, bool)):
            continue
        # all of it is learned, as here; or it says once more what a message says
        if (known in MASKS and value in (1, "1", "true")) or (isinstance(value, str) and value.strip() in text):
            continue
        judges = known in MASKS or known in ("label", "labels", "kto_tag")  # whether the answer is a good one
        todo = "take out what should not be learned" if judges else "put it into the messages, or take it out"
        if known.startswith(("rejected", "negative")):
            todo = "for a preference, as ms-swift learns it, write prompt, chosen and rejected"
        yield (
            f"what its field {name[:40]} says is read neither here nor by TRL's SFT: {todo}, unless it is only a note."
        )


def unlearned(messages: Sequence[Mapping[str, Any]]) -> str:
    """What becomes of answers of "weight": 0, here and in TRL (1.16), in a sentence; "" where there are none."""
    if not any(message["role"] == "assistant" and message.get("weight") == 0 for message in messages):
        return ""
    return (
        'an answer of "weight": 0 is read and not learned here, as in OpenAI\'s fine-tuning; '
        "TRL does not look at weight, "
        "so it learns that answer, too. For TRL, write a line of prompt and completion for each answer to learn, since "
        "of these it learns the completion alone."
    )


def unread_in(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(code, sentence) of the fields of answers that say what is thought, or which trainers keep from being learned."""
    for message in messages:
        if message["role"] != "assistant":
            continue
        if thoughts := [
            name
            for name, value in message.items()
            if name.lower() in THINKING and isinstance(value, str) and value.strip() not in said(message)
        ]:
            yield (
                "unread_field",
                f"a message's field {thoughts[0]} is read by no usual chat template, so what it says is not learned: "
                "call it reasoning_content, which templates of models that think read, or take it out.",
            )
        off = [name for name in TAUGHT_UNLESS_OFF if name in message and message[name] in (0, "0", "false")]
        on = [name for name in TAUGHT_UNLESS_ON if message.get(name) in (1, "1", "true")]
        if off or on:
            yield (
                "unread_mask",
                f"a message's field {(off or on)[0]} says that it is not to be learned, read by axolotl, "
                'ms-swift or verl, and not here or by TRL, so it would be: for this course write "weight": '
                "0 there; for TRL, a line of prompt and completion for each answer.",
            )
            continue
        part = [
            *(name for name in IN_PART if message.get(name)),
            *(name for name in BY_WEIGHT if message.get(name) not in (None, 0, 1)),
            *(["loss_scale"] if message.get("loss_scale") == 0 else []),
        ]
        if part:
            yield (
                "unread_mask",
                f"a message's field {part[0]} says that it is learned in part or by weight, which neither "
                "this course nor TRL reads, so all of it would be: cut the answer, or train where the "
                "field is read.",
            )
