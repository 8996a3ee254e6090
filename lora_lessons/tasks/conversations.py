"""The data of `data/`: conversations, the chat format, and which tokens are supervised (only the answer and its end)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jinja2
import torch
from torch import Tensor

from ..errors import first_line
from ..paths import course_root
from .jsonl import read_jsonl

# the label that cross-entropy skips
IGNORED = -100


class Task(NamedTuple):
    """A data set: conversations to learn from, and others, on other topics, to be judged by."""

    name: str
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


class Encoded(NamedTuple):
    """One conversation as tokens: input_ids (length,) and labels (length,), IGNORED where nothing is taught.

    A row of several (see `pack`) also says where each token stands in its own conversation: position_ids (length,)
    are 0, 1, 2 … and 0 again where the next conversation begins.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor | None = None


def load_task(name: str = "persona") -> Task:
    """The task `data/<name>`, train and held-out. Raises FileNotFoundError or ValueError with what to do next."""
    folder = course_root() / "data" / name
    if not (folder / "train.jsonl").is_file():
        known = sorted(p.parent.name for p in folder.parent.glob("*/train.jsonl"))
        raise FileNotFoundError(f"no task named {name!r}: choose from {', '.join(known)}.")
    return Task(name, read_jsonl(folder / "train.jsonl"), read_jsonl(folder / "held_out.jsonl"))


def general_text() -> str:
    """Plain English that belongs to no task, written for the course: what forgetting is measured on."""
    return (course_root() / "data" / "held_out_text" / "general.txt").read_text(encoding="utf-8")


def everyday_questions() -> list[str]:
    """Questions that belong to no task, written for the course: what format drift is looked for in."""
    text = (course_root() / "data" / "held_out_text" / "questions.txt").read_text(encoding="utf-8")
    return text.strip().splitlines()


def encode(tokenizer: Any, example: dict[str, Any]) -> Encoded:
    """Tokens and labels of one conversation in the model's own chat template.

    Supervised: the last answer and the token that ends it. A model that never sees its end token never learns to stop,
    so it is added where the template has none. Raises ValueError when the template refuses the conversation or rewrites
    earlier turns, or when there is no end token.
    """
    two = given_and_taught(tokenizer, example)
    prompt_ids, answer_ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in two)
    return Encoded(torch.tensor(prompt_ids + answer_ids), torch.tensor([IGNORED] * len(prompt_ids) + answer_ids))


def given_and_taught(tokenizer: Any, example: dict[str, Any]) -> tuple[str, str]:
    """The two texts that `encode` makes tokens of: all before the last answer, and the answer with its end.

    Raises ValueError as `encode` does.
    """
    *context, answer = example["messages"]
    try:
        prompt = tokenizer.apply_chat_template(context, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template([*context, answer], tokenize=False)
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError) as error:
        raise ValueError(
            f"this chat template refuses the conversation ({first_line(error)}): say it in other turns, or use another "
            "template."
        ) from error
    if not whole.startswith(prompt):
        raise ValueError(
            "this chat template rewrites earlier turns, so the answer cannot be told apart: use another template."
        )
    if not tokenizer.eos_token:
        raise ValueError("this tokenizer names no end token, so no answer could end: set tokenizer.eos_token.")
    taught = whole[len(prompt) :].rstrip()
    if not taught.endswith(tokenizer.eos_token):
        taught += tokenizer.eos_token
    return prompt, taught
