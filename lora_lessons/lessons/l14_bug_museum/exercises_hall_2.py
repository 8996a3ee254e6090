"""Checks of hall 2, texts, labels and loss: each runs what the learner repaired, and names what is still broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ... import models
from ...course.exercises import answered, exercise
from ...tasks import IGNORED, Encoded, collate
from .workbench import bos_first


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


@exercise("14.11", "The answer is right, and the model keeps talking", difficulty=1, minutes=4)
def exercise_14_11(encode: Callable[[Any, str, str], Encoded]) -> str | None:
    tokenizer = _tokenizer()
    question, answer = "What do bees make?", "Honey, and wax."
    got = answered(encode(tokenizer, question, answer))
    if not isinstance(got, Encoded) or not all(isinstance(part, Tensor) for part in got[:2]):
        return "Return Encoded(input_ids, labels), two tensors of one length."
    ids, labels, end = got.input_ids.tolist(), got.labels.tolist(), tokenizer.eos_token_id
    taught = [label for label in labels if label != IGNORED]
    prompt, answer_ids = (
        tokenizer(text)["input_ids"] for text in (f"### Question:\n{question}\n### Answer:\n", answer)
    )
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
    if ids != [*prompt, *answer_ids, end]:
        return "The text has changed: prompt and answer as they were, and one end token after them."
    if taught == [*answer_ids, end]:
        return None
    if taught == [end]:
        return "Now only the end is taught: the answer needs its labels, too."
    return "The question is supervised as well: the model would learn to ask. Only the answer and its end are taught."


@exercise("14.12", "The model does not stop, although every training example ends correctly", difficulty=2, minutes=5)
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
    decoded = tokenizer.decode(got)
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
        if decoded.rstrip("\n") == wrong.rstrip("\n") and (decoded == wrong or wrong == question):
            return name
    if "### " in decoded:
        return "Those are headings of another format: training never showed them to this adapter."
    return f"Training's prompt is {text!r}; yours is {decoded!r}."


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


def _tiny() -> Any:
    """A random Llama of two layers, the same every time: a learner's code runs on it at once."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        }
        return LlamaForCausalLM(LlamaConfig(vocab_size=64, initializer_range=0.3, **sizes)).eval()


def _row(prompt: int, answer: int, seed: int) -> Encoded:
    """A conversation of random tokens: `prompt` of them masked, `answer` of them supervised."""
    ids = torch.randint(3, 64, (prompt + answer,), generator=torch.Generator().manual_seed(seed))
    return Encoded(ids, ids.masked_fill(torch.arange(prompt + answer) < prompt, IGNORED))


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-4)


@exercise("14.16", "The loss falls, and it stammers", difficulty=2, minutes=6)
def exercise_14_16(training_loss: Callable[[Any, Tensor, Tensor], Tensor]) -> str | None:
    model, one = _tiny(), _row(2, 8, seed=1)
    ids, labels = one.input_ids[None], one.labels[None]
    got = answered(training_loss(model, ids.clone(), labels.clone()))
    if not isinstance(got, Tensor) or got.numel() != 1:
        return "Return the loss, a tensor of one number."
    if not got.requires_grad:
        return "This loss has no gradient: leave the tensor as it is, without .item() or no_grad."
    logits, flat = model(ids).logits[0].detach(), labels[0]
    value = float(got.detach())
    if _near(value, float(cross_entropy(logits[:-1], flat[1:]))):
        return None
    for wrong, name in (
        (cross_entropy(logits[:-2], flat[2:]), "Still broken: this compares each token with the one two places ahead."),
        (
            cross_entropy(logits, flat),
            "No shift is left: here each token is compared with itself, which it has read already.",
        ),
        (cross_entropy(logits[1:], flat[:-1]), "Shifted backwards: each token is compared with the one before it."),
        (
            cross_entropy(logits[:-1], ids[0, 1:]),
            "The shift is right, and the prompt is supervised too: keep its labels at IGNORED.",
        ),
        (
            cross_entropy(logits[:-1], flat[1:], reduction="sum"),
            "The shift is right. Take the mean over the tokens, not the sum.",
        ),
    ):
        if _near(value, float(wrong)):
            return name
    return f"The loss is {float(cross_entropy(logits[:-1], flat[1:])):.4f} here: token i is compared with token i + 1. You gave {value:.4f}."


@exercise("14.17", "The same batch in smaller pieces learns something else", difficulty=3, minutes=8)
def exercise_14_17(accumulate: Callable[[Any, Sequence[dict[str, Tensor]]], float]) -> str | None:
    rows = [_row(3, answer, seed=answer) for answer in (1, 2, 9)]
    pieces = [collate([row], pad_id=0) for row in rows]

    def gradient_of(loss_and_backward: Callable[[Any], Any]) -> tuple[Any, Tensor]:
        model = _tiny()
        returned = loss_and_backward(model)
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        return returned, torch.cat([g.flatten() for g in parts])

    def whole(model: Any) -> float:
        loss = model(**collate(rows, pad_id=0)).loss
        loss.backward()
        return float(loss.detach())

    def last(model: Any) -> None:
        model(**pieces[-1], num_items_in_batch=12).loss.backward()

    def means(model: Any) -> None:
        for piece in pieces:
            (model(**piece).loss / len(pieces)).backward()

    returned, got = gradient_of(lambda model: accumulate(model, [dict(piece) for piece in pieces]))
    returned_loss = float(torch.as_tensor(answered(returned)).detach())
    loss, right = gradient_of(whole)
    unequal = gradient_of(means)[1]

    def is_(other: Tensor) -> bool:
        return bool((got - other).norm() < 1e-3 * other.norm())

    if is_(right):
        if not _near(returned_loss, loss):
            return f"The gradient is right. The loss that you return is not: the whole batch has {loss:.4f}, you gave {returned_loss:.4f}."
        return None
    for wrong, name in (
        (
            unequal,
            "Still broken: the mean of the means. A token of the shortest answer counts nine times as much as one of the longest.",
        ),
        (unequal * 3, "Those are means, added up: the gradient grows with the number of micro-batches."),
        (
            right / 3,
            "Divided twice: by all tokens of the batch, and by the number of micro-batches again. Once is enough.",
        ),
        (
            right * 12 / sum(piece["input_ids"].numel() for piece in pieces),
            "Divided by all tokens, the prompts' among them. Count only the labels that are not IGNORED, 12 here.",
        ),
        (right * 12, "Those are sums. Divide each by the number of supervised tokens in the whole batch, 12 here."),
        (
            right * 4,
            "Divided by the number of micro-batches, 3. The divisor is the number of supervised tokens in all of them, 12.",
        ),
        (gradient_of(last)[1], "Only the last micro-batch is left in the gradient: do not set it to zero in between."),
        (torch.zeros_like(right), "There is no gradient: call .backward() for each micro-batch."),
    ):
        if is_(wrong) or not (wrong.any() or got.any()):
            return name
    share = float(got.norm() / right.norm())
    return f"The gradient is not that of the whole batch: its length is {share:.2f} times the right one."
