"""Exercises of lesson 12: the loss where it is taught, the mask of a shared prefix, a packed row that leaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...course.exercises import answered, exercise, not_a_number
from ...tasks import IGNORED, Encoded

VOCABULARY = 50


class _MostLogits(TorchDispatchMode):
    """Counts the rows of the largest tensor, while it is entered, that has a number for every word of the vocabulary."""

    rows = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, Tensor) and t.dim() > 1 and t.shape[-1] == VOCABULARY:
                self.rows = max(self.rows, t.numel() // VOCABULARY)
        return out


@exercise("12.1", "The loss where it is taught", difficulty=2, minutes=8)
def exercise_12_1(taught_loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
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
        return f"The number is right, but logits existed for {made.rows} tokens, and only 5 teach something. Choose the rows of h first."
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
    return f"Expected {right:.4f} nats for our example; you gave {got:.4f}. Which rows of h, and which labels, belong together?"


@exercise("12.2", "The mask of a shared prompt", difficulty=2, minutes=8)
def exercise_12_2(mask: Callable[[int, list[int]], Tensor]) -> str | None:
    returned = answered(mask(2, [3, 2]))
    if not isinstance(returned, Tensor):
        return f"Return a tensor; you returned a {type(returned).__name__}."
    if returned.shape != (7, 7):
        return f"Two tokens are shared and five are the conversations' own: 7 × 7, a row per looking token; you gave {tuple(returned.shape)}."
    got, right = returned.bool(), _sees(2, [3, 2])
    if bool((got == right).all()):
        if all(torch.equal(mask(s, list(own)).bool(), _sees(s, own)) for s, own in ((0, [2, 3]), (3, [1, 1, 4]))):
            return None
        return "Right for 2 shared tokens and conversations of 3 and 2, but not for others: use `shared` and `own`."
    if bool((got == ~right).all()):
        return "Turned round: True says that the token may look there."
    if bool((got == right.T).all()):
        return "Rows and columns are swapped: the row is the token that looks, the column where it looks."
    if bool(got.triu(1).any()):
        return "Some token sees a later one, which it is to predict: nothing above the diagonal may be True."
    if not bool(got.diagonal().all()):
        return "Every token sees itself, too: the diagonal is True."
    if bool(got[5:, 2:5].any()):
        return "The second conversation sees the first: that is the leak this mask is there to prevent."
    if not bool(got[2:, :2].all()):
        return "A conversation does not see all of the shared beginning, which is part of its own past."
    return "A token does not see all of its own conversation's past."


def _sees(shared: int, own: Sequence[int]) -> Tensor:
    owner = torch.tensor([0] * shared + [n for n, length in enumerate(own, 1) for _ in range(length)])
    return ((owner[:, None] == owner) | (owner == 0)).tril()


@exercise("12.3", "A packed row that leaks", difficulty=2, minutes=8)
def exercise_12_3(packed: Callable[[list[Encoded]], Encoded]) -> str | None:
    ids, taught = torch.arange(10, 19), torch.arange(10, 19)
    taught[1] = IGNORED
    parts = [Encoded(ids[a:b].clone(), taught[a:b].clone()) for a, b in ((0, 4), (4, 6), (6, 9))]
    row = answered(packed(parts))
    if not isinstance(row, Encoded):
        return f"Return an Encoded, as the colleague does; you returned a {type(row).__name__}."
    if not torch.equal(row.input_ids, ids):
        return "The tokens must be those of the conversations, in their order; the mistake is not there."
    positions, labels = row.position_ids, row.labels
    if positions is None:
        return "Without position_ids the model takes the row for one conversation: give each its own."
    if torch.equal(positions, torch.arange(9)):
        return "The positions still run on. To the model this is one long conversation, and each answer sees the ones before."
    restarted = torch.tensor([0, 1, 2, 3, 0, 1, 0, 1, 2])
    if torch.equal(positions, restarted + 1):
        return "Positions begin at 0, and that is where the model sees a new conversation begin."
    if not torch.equal(positions, restarted):
        return f"For conversations of 4, 2 and 3 tokens expected positions {restarted.tolist()}; you gave {positions.tolist()}."
    if not torch.equal(torch.cat([one.labels for one in parts]), taught):
        return "You changed the labels of the conversations you were given: work on a copy (torch.cat makes one)."
    right = taught.clone()
    right[[4, 6]] = IGNORED
    first_too = right.clone()
    first_too[0] = IGNORED
    if torch.equal(labels, right) or torch.equal(labels, first_too):
        return None
    if torch.equal(labels, taught):
        return (
            "The positions are right. One leak is left: the last token of a conversation is taught to predict the first of the "
            "next one. What should that first token's label be?"
        )
    if bool((labels == IGNORED).all()):
        return "Now nothing is taught at all: only each conversation's first token needs IGNORED."
    if bool((labels[[3, 5]] == IGNORED).all()) and not bool((labels[[4, 6]] == IGNORED).any()):
        return "A label belongs to the token itself, not to the one that predicts it: mask each conversation's first, not its last."
    return f"For our example expected labels {right.tolist()}; you gave {labels.tolist()}."
