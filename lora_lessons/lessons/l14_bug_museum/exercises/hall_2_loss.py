"""Exercises of hall 2, loss: which token a label is compared with, how micro-batches are weighed, what a packed row sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ....course.exercises import answered, exercise
from ....tasks import IGNORED, Encoded, collate


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
        found = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        return returned, torch.cat([g.flatten() for g in found])

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
    found = float(torch.as_tensor(answered(returned)).detach())
    loss, right = gradient_of(whole)
    unequal = gradient_of(means)[1]

    def is_(other: Tensor) -> bool:
        return bool((got - other).norm() < 1e-3 * other.norm())

    if is_(right):
        if not _near(found, loss):
            return f"The gradient is right. The loss that you return is not: the whole batch has {loss:.4f}, you gave {found:.4f}."
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


@exercise("14.18", "The loss is better than I deserve", difficulty=2, minutes=6)
def exercise_14_18(pack: Callable[[list[Encoded]], Mapping[str, Tensor]]) -> str | None:
    model, rows = _tiny(), [_row(3, 4, seed=1), _row(4, 5, seed=2), _row(2, 3, seed=3)]
    batch = answered(pack(list(rows)))
    if not isinstance(batch, Mapping) or not {"input_ids", "labels"} <= batch.keys():
        return "Return a dictionary for model(**batch), with input_ids and labels in it."
    ids, labels = (torch.cat([getattr(row, name) for row in rows])[None] for name in ("input_ids", "labels"))
    if not torch.equal(batch["input_ids"], ids):
        return "One row holds all conversations, in their order: input_ids is 1 × the sum of their lengths."
    if not torch.equal(batch["labels"], labels):
        return "The labels have changed. They were right: what leaks is what a token may look at."
    with torch.no_grad():
        # as in training: with a cache transformers does not look at position_ids
        packed = model(**{"use_cache": False, **batch}).logits[0]
        alone = [model(row.input_ids[None]).logits[0] for row in rows]
    if torch.allclose(packed, torch.cat(alone), atol=1e-4):
        return None
    if batch.get("use_cache"):
        return "With a cache transformers does not look at position_ids: leave it off, as in training."
    positions, mask = batch.get("position_ids"), batch.get("attention_mask")
    right = torch.cat([torch.arange(len(row.input_ids)) for row in rows])[None]
    if positions is None:
        return "Still broken: without position_ids the model cannot see where a conversation begins."
    if not torch.equal(torch.as_tensor(positions), right):
        return "The positions are not those of each conversation: 0, 1, 2 … and 0 again where the next one begins."
    if mask is not None:
        return "The positions are right, and the attention_mask of ones undoes it: transformers looks at them only without a mask."
    return "The logits of a packed conversation are not those it has alone."
