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

from ...course.exercises import answered, exercise, one_number, wrong_if, wrong_like
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
def exercise_08_3(taught_loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    h, E = torch.randn(40, 4), torch.randn(VOCABULARY, 4)
    labels = torch.full((40,), IGNORED)
    labels[[0, 11, 12, 13, 30, 39]] = torch.tensor([7, 3, 8, 1, 20, 49])
    with _MostLogits() as made:
        returned = answered(taught_loss(h.clone(), E.clone(), labels.clone()))
    if isinstance(returned, Tensor):
        said = f"Return the mean, one number; you returned a tensor of shape {tuple(returned.shape)}."
        wrong_if((returned.numel() != 1, said))
        returned = returned.item()
    got, logits, following, where = one_number(returned), h[:-1] @ E.T, labels[1:], labels != IGNORED
    right = cross_entropy(logits, following).item()
    all_tokens = "You divided by all tokens; only five of them teach something."
    wrong_like(
        got,
        (
            cross_entropy(h @ E.T, labels),
            "The shift is missing: h of one token predicts the next token, so h[:-1] belongs to labels[1:].",
        ),
        (
            cross_entropy(h[1:] @ E.T, labels[:-1]),
            "Shifted the wrong way: you ask each token for the one before it.",
        ),
        (cross_entropy(logits, following, reduction="sum"), "That is the sum; the loss is the mean per taught token."),
        (right * 5 / 39, all_tokens),
        (right * 5 / 40, all_tokens),
        (right * 5 / 6, "You divided by six labels, but nothing comes before the first token: five can be predicted."),
        (
            -(h @ E.T)[where].log_softmax(-1).mean(),
            "Pick each row's own label out of the log-probabilities: cross_entropy does.",
        ),
        rtol=1e-4,
    )
    wrong_if(
        (
            not math.isclose(got, right, rel_tol=1e-4),
            f"Expected {right:.4f} nats for our example; you gave {got:.4f}. Which rows of h, and which labels, "
            "belong together?",
        ),
        (
            made.rows > int((following != IGNORED).sum()),
            f"The number is right, but logits existed for {made.rows} tokens, and only 5 teach something. "
            "Choose the rows of h first.",
        ),
    )


@exercise("08.4", "A packed row that leaks", difficulty=2, minutes=8, keeps="packed", imports=NEEDS)
def exercise_08_4(packed: Callable[[list[Encoded]], Mapping[str, Any]]) -> None:
    ids, taught = torch.arange(10, 19), torch.arange(10, 19)
    taught[1] = IGNORED
    parts = [Encoded(ids[a:b].clone(), taught[a:b].clone()) for a, b in ((0, 4), (4, 6), (6, 9))]
    row = answered(packed(parts))
    wrong_if(
        (
            not isinstance(row, Mapping) or not {"input_ids", "labels"} <= row.keys(),
            "Return a dictionary for model(**row), as the colleague does: input_ids, labels, and what else it needs.",
        )
    )
    wrong_if(
        (
            not torch.equal(row["input_ids"], ids[None]),
            "The tokens must be those of the chats, in their order, 1 × all of them; the mistake is not there.",
        ),
        (
            not torch.equal(torch.cat([one.labels for one in parts]), taught),
            "You changed the labels of the chats you were given: work on a copy (torch.cat makes one).",
        ),
    )
    _sees_another(row, parts)
    _teaches_a_border(row["labels"], taught)


def _sees_another(row: Mapping[str, Any], parts: Sequence[Encoded]) -> None:
    """A chat must not see another one: its logits in the row are those it has alone."""
    model, rest = _tiny(), {name: value for name, value in row.items() if name != "labels"}
    with torch.no_grad():
        # as in training: with a cache transformers does not look at position_ids
        together = model(**{"use_cache": False, **rest}).logits[0]
        alone = torch.cat([model(one.input_ids[None]).logits[0] for one in parts])
    restarted = torch.cat([torch.arange(len(one.input_ids)) for one in parts])[None]
    given = row.get("position_ids")
    positions = torch.zeros(0) if given is None else given
    seen = not torch.allclose(together, alone, atol=1e-4)
    wrong_if(
        (
            torch.equal(positions, restarted + 1),
            "Positions begin at 0, and that is where FlashAttention sees a new chat begin.",
        ),
        (
            seen and row.get("use_cache"),
            "With a cache transformers does not look at position_ids: leave it off, as in training.",
        ),
        (
            seen and given is None,
            "Without position_ids the model takes the row for one chat: give each its own.",
        ),
        (
            seen and torch.equal(positions, torch.arange(restarted.numel())[None]),
            "The positions still run on. To the model this is one long chat, and each answer sees the ones before.",
        ),
        (
            seen and not torch.equal(positions, restarted),
            f"For chats of 4, 2 and 3 tokens expected positions {restarted.tolist()}; you gave {positions.tolist()}.",
        ),
        (
            seen and row.get("attention_mask") is not None,
            "The positions are right, and the attention_mask of ones undoes it: "
            "transformers looks at them only without a mask.",
        ),
        (seen, "The logits of a packed chat are not those it has alone: what else does your row say?"),
    )


@cache
def _tiny() -> Any:
    """A model of one small block: what a token may look at does not depend on its size."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: Any = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, initializer_range=0.5)
    return LlamaForCausalLM(config).eval()


def _teaches_a_border(labels: Tensor, taught: Tensor) -> None:
    """No label may teach across the border of two chats; whether the very first is taught does not matter."""
    right = taught.clone()
    right[[4, 6]] = IGNORED
    wrong_if((labels.shape != (1, 9), f"labels are 1 × all tokens, as input_ids are; you gave {tuple(labels.shape)}."))
    labels = labels[0]
    hidden = labels == IGNORED
    wrong_if(
        (
            torch.equal(labels, taught),
            "Nobody sees another now. One leak is left: the last token of a chat is taught to predict the first of "
            "the next one. What should that first token's label be?",
        ),
        (hidden.all(), "Now nothing is taught at all: only each chat's first token needs IGNORED."),
        (
            not hidden[1],
            "The labels have changed: what was not taught before is taught now. Only first tokens need another label.",
        ),
        (
            hidden[[3, 5]].all() and not hidden[[4, 6]].any(),
            "A label belongs to the token itself, not to the one that predicts it: mask each chat's first, "
            "not its last.",
        ),
        (
            not torch.equal(labels[1:], right[1:]) or labels[0] not in (right[0], IGNORED),
            f"For our example expected labels {right.tolist()}; you gave {labels.tolist()}.",
        ),
    )
