"""Exercises of hall 2, text: what the model reads, and which of it is supervised. Those about the loss are in `hall_2_loss`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .... import models
from ....course.exercises import answered, exercise
from ....tasks import IGNORED, Encoded
from ..bos_first import bos_first
from . import hall_2_loss as hall_2_loss


@cache
def _tokenizer() -> Any:
    return models.load_tokenizer(models.embedded_folder())


def _ids(given: Any) -> list[int] | None:
    """Token ids as a list, out of whatever a tokenizer of transformers returns; None where they are none."""
    if isinstance(given, Mapping):
        given = given.get("input_ids")
    if isinstance(given, Tensor):
        given = given.flatten().tolist()
    if isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = given[0]
    whole = isinstance(given, (list, tuple)) and all(isinstance(one, int) for one in given)
    return list(given) if whole else None


NO_IDS = "Return the token ids, a list of whole numbers: a text becomes ids by tokenizer(text)['input_ids']."


@exercise("14.11", "It answers, and then it talks on", difficulty=1, minutes=4)
def exercise_14_11(encode: Callable[[Any, str, str], Encoded]) -> str | None:
    tokenizer = _tokenizer()
    question, answer = "What do bees make?", "Honey, and wax."
    got = answered(encode(tokenizer, question, answer))
    if not isinstance(got, Encoded) or not all(isinstance(part, Tensor) for part in got[:2]):
        return "Return Encoded(input_ids, labels), two tensors of one length."
    ids, labels, end = got.input_ids.tolist(), got.labels.tolist(), tokenizer.eos_token_id
    taught = [label for label in labels if label != IGNORED]
    prompt, said = (tokenizer(text)["input_ids"] for text in (f"### Question:\n{question}\n### Answer:\n", answer))
    if len(ids) != len(labels):
        return f"There is a label for each token: {len(ids)} tokens here, and {len(labels)} labels."
    if any(label not in (IGNORED, token) for token, label in zip(ids, labels, strict=True)):
        return "A label is its own token or IGNORED. Do not shift them: the model does that."
    if end not in ids:
        return "Still broken: no end token is in the text, and this tokenizer appends none."
    if ids.count(end) > 1:
        return "The answer ends twice: one end token is enough."
    if end not in taught:
        return "The end token is in the text now, and its label is IGNORED: so it is still not taught."
    if ids != [*prompt, *said, end]:
        return "The text has changed: prompt and answer as they were, and one end token after them."
    if taught == [*said, end]:
        return None
    if taught == [end]:
        return "Now only the end is taught: the answer needs its labels, too."
    return "The question is supervised as well: the model would learn to ask. Only the answer and its end are taught."


@exercise("14.12", "It talks on again, and every example is right", difficulty=2, minutes=5)
def exercise_14_12(labels_of: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    end = 2
    rows = torch.tensor([[5, 6, end, 7, 8, 9, end], [5, 6, end, 7, end, end, end]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
    given = rows.clone()
    got = answered(labels_of(given, mask.clone()))
    if not isinstance(got, Tensor) or got.shape != rows.shape:
        return "Return a tensor of labels with the shape of input_ids: a row for each conversation."
    if not torch.equal(given, rows):
        return (
            "The labels are right or wrong, but input_ids changed as well: work on a copy (clone, masked_fill, where)."
        )
    right = rows.masked_fill(mask == 0, IGNORED)
    if torch.equal(got, right):
        return None
    if torch.equal(got, rows.masked_fill(rows == end, IGNORED)):
        return "Still broken: that masks every token with the padding's id, and the real ends have the same one."
    if torch.equal(got, rows):
        return "Nothing is masked now: the padding is supervised, and the model learns to say the end token again and again."
    ends, padding = (rows == end) & (mask == 1), mask == 0
    if (got[padding] != IGNORED).any() and (got[ends] == end).all():
        return "A padding token is still supervised. Which tokens are padding stands in attention_mask."
    if (got[padding] == IGNORED).all() and (got[ends] != end).any():
        return "Some ends are masked that are no padding: a conversation of two turns has two of them."
    return "A label is IGNORED where attention_mask is 0, and its own token everywhere else."


@exercise("14.13", "A voice in the notebook, a stranger in the app", difficulty=1, minutes=4)
def exercise_14_13(ask: Callable[[Any, str], list[int]]) -> str | None:
    tokenizer, question = _tokenizer(), "How do I sharpen a pencil?"
    got = _ids(answered(ask(tokenizer, question)))
    if got is None:
        return NO_IDS
    user = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    closed = tokenizer.apply_chat_template(user, tokenize=False)
    if got == tokenizer(text)["input_ids"]:
        return None
    said = tokenizer.decode(got)
    for wrong, name in (
        (question, "Still broken: the bare question, without the turns that training wrapped around it."),
        (
            closed,
            "The user's turn is closed and no answer is begun: add_generation_prompt=True opens the assistant's turn.",
        ),
        (text.rstrip("\n"), "One line break is missing at the end: training had it before each answer."),
        (
            text[text.index("<|im_start|>user") :],
            "Nearly: this template adds a system turn where there is none, and training had it.",
        ),
        (
            tokenizer.bos_token + text,
            "One token too many in front: the template has written it already (exhibit 14.14).",
        ),
    ):
        if said.rstrip("\n") == wrong.rstrip("\n") and (said == wrong or wrong == question):
            return name
    if "### " in said:
        return "Those are headings of another format: training never showed them to this adapter."
    return f"Training's prompt is {text!r}; yours is {said!r}."


@exercise("14.14", "The same chat, and slightly other answers", difficulty=2, minutes=5)
def exercise_14_14(to_ids: Callable[[Any, list[dict[str, str]]], list[int]]) -> str | None:
    plain = _tokenizer()
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
    right = plain(plain.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))["input_ids"]
    got = _ids(answered(to_ids(bos_first(plain), list(chat))))
    if got is None:
        return NO_IDS
    bos = plain.bos_token_id
    if got[:2] == [bos, bos]:
        return "Still broken: the first two ids are both BOS."
    if bos not in got:
        return "Every BOS is gone. This template begins each turn with it, so only the one that the tokenizer added may go."
    if len(got) < len(right) and got == right[: len(got)]:
        return "The assistant's turn is not opened: add_generation_prompt=True."
    if got.count(bos) < right.count(bos):
        return (
            "The later turns have lost their <|im_start|>: it is the same token as BOS. Take away only what was added."
        )
    if got != right:
        return f"One chat has {len(right)} ids here; yours has {len(got)}, and they differ."
    if _ids(to_ids(plain, list(chat))) != right:
        return (
            "Right for this tokenizer, and wrong for one that adds no BOS: there your code cuts off the template's own."
        )
    return None


@exercise("14.15", "The loss is not a number from the first step", difficulty=3, minutes=8)
def exercise_14_15(marked: Callable[[str], str]) -> str | None:
    tokenizer = _tokenizer()
    template = answered(marked(tokenizer.chat_template))
    if not isinstance(template, str):
        return "Return the template, a text."
    if "{% generation %}" not in template:
        return "Still broken: the template has no {% generation %} in it, so no token is marked."
    chat = [
        {"role": role, "content": content}
        for role, content in (("user", "Hello."), ("assistant", "Good day."), ("user", "More?"), ("assistant", "No."))
    ]
    if tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False) != tokenizer.apply_chat_template(
        chat, tokenize=False
    ):
        return (
            "The marks are there, and the text has changed: without them the template must write what it wrote before."
        )
    out = tokenizer.apply_chat_template(
        chat, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    taught = tokenizer.decode([t for t, m in zip(out["input_ids"], out["assistant_masks"], strict=True) if m])
    end = tokenizer.eos_token
    if taught in (f"Good day.{end}No.{end}", f"Good day.{end}\nNo.{end}\n"):
        return None
    if taught == "Good day.No.":
        return "The answers are marked, but not the tokens that end them: it would never stop (exhibit 14.11)."
    if "Hello." in taught:
        return "The user's turns are marked, too: the model would learn to ask. Mark only where the role is assistant."
    if "assistant" in taught:
        return "The marks begin too early: <|im_start|>assistant is written for the model, it does not say it."
    return f"What is marked reads {taught!r}: it should be both answers, each with its end."
