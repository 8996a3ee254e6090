"""The side trip deeper/08_faster: How much faster can a step become?"""

# First what the lesson uses where the learner has no function of their own yet; then what judges theirs.

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...course.exercises import answered, exercise, not_a_number
from ...tasks import IGNORED, Encoded

VOCABULARY = 50
NEEDS = "\nfrom lora_lessons.tasks import IGNORED, Encoded\n"  # above a learner's own code, where it is kept


def taught_loss(h: Tensor, E: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over what is taught, and no logits anywhere else: h (tokens × d),
    the head E (vocabulary × d)."""
    following = labels[1:]
    taught = following != IGNORED
    return cross_entropy(h[:-1][taught] @ E.T, following[taught])


def packed(parts: Sequence[Encoded]) -> dict[str, Tensor]:
    """The conversations side by side in one row for model(**row), each as if it were alone."""
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    labels = torch.cat([one.labels for one in parts])
    labels[positions == 0] = IGNORED
    row = {"input_ids": torch.cat([one.input_ids for one in parts]), "labels": labels, "position_ids": positions}
    return {name: t[None] for name, t in row.items()}


class _MostLogits(TorchDispatchMode):
    """Counts the rows of the largest tensor, while it is entered,
    that has a number for every word of the vocabulary."""

    rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.dim() > 1 and t.shape[-1] == VOCABULARY:
                self.rows = max(self.rows, t.numel() // VOCABULARY)
        return out


@exercise("08.3", "The loss where it is taught", difficulty=2, minutes=8, keeps="taught_loss", imports=NEEDS)
def exercise_08_3(taught_loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    torch.manual_seed(0)
    h, E = torch.randn(40, 4), torch.randn(VOCABULARY, 4)
    labels = torch.full((40,), IGNORED)
    labels[[0, 11, 12, 13, 30, 39]] = torch.tensor([7, 3, 8, 1, 20, 49])
    with _MostLogits() as made:
        returned = answered(taught_loss(h.clone(), E.clone(), labels.clone()))
    if isinstance(returned, Tensor) and returned.numel() != 1:
        return f"Return the mean, one number; you returned a tensor of shape {tuple(returned.shape)}."
    got = returned.item() if isinstance(returned, Tensor) else returned
    if advice := not_a_number(got):
        return advice
    logits, following = h[:-1] @ E.T, labels[1:]
    right = cross_entropy(logits, following).item()

    def is_(value: float | Tensor) -> bool:
        return math.isclose(got, float(value), rel_tol=1e-4)

    if is_(right):
        if made.rows <= int((following != IGNORED).sum()):
            return None
        return (
            f"The number is right, but logits existed for {made.rows} tokens, and only 5 teach something. "
            "Choose the rows of h first."
        )
    where = labels != IGNORED
    for wrong, advice in (
        (
            cross_entropy(h @ E.T, labels),
            "The shift is missing: h of one token predicts the next token, so h[:-1] belongs to labels[1:].",
        ),
        (
            cross_entropy(h[1:] @ E.T, labels[:-1]),
            "Shifted the wrong way: you ask each token for the one before it.",
        ),
        (cross_entropy(logits, following, reduction="sum"), "That is the sum; the loss is the mean per taught token."),
        (right * 5 / 39, "You divided by all tokens; only five of them teach something."),
        (right * 5 / 40, "You divided by all tokens; only five of them teach something."),
        (right * 5 / 6, "You divided by six labels, but nothing comes before the first token: five can be predicted."),
        (
            -(h @ E.T)[where].log_softmax(-1).mean(),
            "Pick each row's own label out of the log-probabilities: cross_entropy does.",
        ),
    ):
        if is_(wrong):
            return advice
    return (
        f"Expected {right:.4f} nats for our example; you gave {got:.4f}. Which rows of h, and which labels, "
        "belong together?"
    )


@exercise("08.4", "A packed row that leaks", difficulty=2, minutes=8, keeps="packed", imports=NEEDS)
def exercise_08_4(packed: Callable[[list[Encoded]], Mapping[str, Any]]) -> str | None:
    ids, taught = torch.arange(10, 19), torch.arange(10, 19)
    taught[1] = IGNORED
    parts = [Encoded(ids[a:b].clone(), taught[a:b].clone()) for a, b in ((0, 4), (4, 6), (6, 9))]
    row = answered(packed(parts))
    if not isinstance(row, Mapping) or not {"input_ids", "labels"} <= row.keys():
        return "Return a dictionary for model(**row), as the colleague does: input_ids, labels, and what else it needs."
    if not torch.equal(row["input_ids"], ids[None]):
        return "The tokens must be those of the chats, in their order, 1 × all of them; the mistake is not there."
    if not torch.equal(torch.cat([one.labels for one in parts]), taught):
        return "You changed the labels of the chats you were given: work on a copy (torch.cat makes one)."
    return _sees_another(row, parts) or _teaches_a_border(row["labels"], taught)


def _sees_another(row: Mapping[str, Any], parts: Sequence[Encoded]) -> str | None:
    """What lets a chat see another one, or None: its logits in the row are those it has alone."""
    model, rest = _tiny(), {name: value for name, value in row.items() if name != "labels"}
    with torch.no_grad():
        # as in training: with a cache transformers does not look at position_ids
        together = model(**{"use_cache": False, **rest}).logits[0]
        alone = torch.cat([model(one.input_ids[None]).logits[0] for one in parts])
    positions, count = row.get("position_ids"), sum(len(one.input_ids) for one in parts)
    restarted = torch.cat([torch.arange(len(one.input_ids)) for one in parts])[None]
    if positions is not None and torch.equal(positions, restarted + 1):
        return "Positions begin at 0, and that is where FlashAttention sees a new chat begin."
    if torch.allclose(together, alone, atol=1e-4):
        return None
    if row.get("use_cache"):
        return "With a cache transformers does not look at position_ids: leave it off, as in training."
    if positions is None:
        return "Without position_ids the model takes the row for one chat: give each its own."
    if torch.equal(positions, torch.arange(count)[None]):
        return "The positions still run on. To the model this is one long chat, and each answer sees the ones before."
    if not torch.equal(positions, restarted):
        return f"For chats of 4, 2 and 3 tokens expected positions {restarted.tolist()}; you gave {positions.tolist()}."
    if row.get("attention_mask") is not None:
        return (
            "The positions are right, and the attention_mask of ones undoes it: "
            "transformers looks at them only without a mask."
        )
    return "The logits of a packed chat are not those it has alone: what else does your row say?"


@cache
def _tiny() -> Any:
    """A model of one small block: what a token may look at does not depend on its size."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            initializer_range=0.5,
        )
    ).eval()


def _teaches_a_border(labels: Tensor, taught: Tensor) -> str | None:
    """What a label teaches across the border of two chats, or None."""
    right = taught.clone()
    right[[4, 6]] = IGNORED
    first_too = right.clone()
    first_too[0] = IGNORED
    if labels.shape != (1, 9):
        return f"labels are 1 × all tokens, as input_ids are; you gave {tuple(labels.shape)}."
    labels = labels[0]
    if torch.equal(labels, right) or torch.equal(labels, first_too):
        return None
    if torch.equal(labels, taught):
        return (
            "Nobody sees another now. One leak is left: the last token of a chat is taught to predict the first of "
            "the next one. What should that first token's label be?"
        )
    if bool((labels == IGNORED).all()):
        return "Now nothing is taught at all: only each chat's first token needs IGNORED."
    if int(labels[1]) != IGNORED:
        return (
            "The labels have changed: what was not taught before is taught now. Only first tokens need another label."
        )
    if bool((labels[[3, 5]] == IGNORED).all()) and not bool((labels[[4, 6]] == IGNORED).any()):
        return (
            "A label belongs to the token itself, not to the one that predicts it: mask each chat's first, "
            "not its last."
        )
    return f"For our example expected labels {right.tolist()}; you gave {labels.tolist()}."
