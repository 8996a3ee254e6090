"""Lesson 14: Can a model learn from a teacher?

After it, the learner can distil a teacher into a student, and say what its probabilities add.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import distillation
from ..course.exercises import answered, exercise
from ..errors import first_line, holding


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _same(got: Tensor, value: Tensor) -> bool:
    return got.shape == value.shape and torch.allclose(got, value, atol=1e-5)


def _no_number(got: Any) -> str | None:
    """What is wrong with a loss that is not one number, or that does not lead back to the student."""
    if not isinstance(got, Tensor):
        return f"Return a tensor, and no {type(got).__name__}: backward() starts from it."
    if got.dim():
        return f"Return one number; yours has the shape {tuple(got.shape)}: take the mean over the places that count."
    if not got.requires_grad:
        return "Your loss does not lead back to the student: no detach() on its side, no .item(), no torch.no_grad()."
    return None


# ---- 14.1 ----


@exercise("14.1", "What the teacher thinks", difficulty=2, minutes=10, keeps="forward_kl")
def exercise_14_1(forward_kl: Callable[[Tensor, Tensor, Tensor], Any]) -> str | None:
    taught = torch.tensor([[False, True, True, True], [True, True, False, False]])
    teacher, student = (2 * _random(2, 4, 6, seed=n).requires_grad_() for n in (1, 2))
    for one in (teacher, student):
        one.retain_grad()
    try:
        got = answered(forward_kl(teacher, student, taught.clone()))
    except (RuntimeError, IndexError) as error:
        return f"PyTorch stopped ({first_line(error)}). Add the vocabulary up first, .sum(-1); then take [taught]."
    if wrong := _no_number(got):
        return wrong
    p, q = (one.detach().log_softmax(-1) for one in (teacher, student))
    each, reverse = (p.exp() * (p - q)).sum(-1), (q.exp() * (q - p)).sum(-1)
    right = distillation.forward_kl(teacher, student, taught)
    mistakes = [
        (reverse[taught].mean(), (
            "The KL is the wrong way round: the words count by how likely the teacher finds them, p·(log p − log q)."
        )),
        (each.mean(), "Hidden places count, too: where `taught` is False stands the question, or padding."),
        ((each * taught).mean(), "Hidden places are 0 and still counted: divide by taught.sum(), not by all places."),
        (each[taught].sum() / len(taught), "You divided by the answers in the batch. Divide by the tokens taught."),
        (each[taught].sum(), "That is the sum: take the mean, or long answers would take larger steps."),
        (each[taught].mean() / 6, (
            "You took the mean over the vocabulary as well: a KL is a sum over its words. (F.kl_div's own mean does "
            "that.)"
        )),
        (-right, "The sign is turned: a KL is never below 0, and the loss must fall as the two agree."),
        (-(p.exp() * q).sum(-1)[taught].mean(), (
            "That is the cross-entropy: the same gradient, but it never comes to 0. Subtract what the teacher itself "
            "is unsure of: p·(log p − log q)."
        )),
        ((p.exp() * (teacher - student)).sum(-1)[taught].mean(), (
            "You subtracted logits. Only log_softmax(-1) makes them log-probabilities."
        )),
    ]  # fmt: skip
    if not _same(got, right):
        named = [why for value, why in mistakes if _same(got, value)]
        rule = "p·(log p − log q), added up over the vocabulary, and the mean over the places that are taught."
        return next(iter(named), f"For this example it is {right.item():.3f}; you gave {got.item():.3f}. {rule}")
    if not right.requires_grad or not _same(*_gradients(got, right, student)):
        return "The number is right and its gradient is not: p and log q must both lead back to what was given."
    learns = torch.autograd.grad(got, teacher, allow_unused=True, retain_graph=True)[0]
    if learns is not None and learns.any():
        return "Right, but the teacher would learn as well, and come to meet the student: teacher_logits.detach()."
    more = _random(3, 5, 9, seed=5), _random(3, 5, 9, seed=6).requires_grad_(), torch.ones(3, 5).bool()
    fits = torch.allclose(forward_kl(*more), distillation.forward_kl(*more), atol=1e-5)
    return None if fits else "Right for six words, wrong for nine: use the shapes as given."


def _gradients(mine: Tensor, ours: Tensor, of: Tensor) -> list[Tensor]:
    made = (torch.autograd.grad(one, of, retain_graph=True, allow_unused=True)[0] for one in (mine, ours))
    return [torch.zeros_like(of) if one is None else one for one in made]


# ---- 14.2 ----


@exercise("14.2", "Score what the student said", difficulty=2, minutes=10)
def exercise_14_2(on_policy: Callable[[Tensor, Tensor, Tensor], Any]) -> str | None:
    taught = torch.tensor([[True, True, True, False], [True, False, False, False]])
    student, teacher = ((_random(2, 4, seed=n) - 2).mul(taught).requires_grad_() for n in (3, 4))
    got = answered(on_policy(student, teacher, taught.clone()))
    if wrong := _no_number(got):
        return wrong
    right, count = distillation.on_policy(student, teacher, taught), taught.sum()
    # a hidden place has no word, so nothing is pushed there
    mine, ours = (each * taught for each in _gradients(got, right, student))
    apart = (teacher - student).detach()
    found = holding(
        (_same(mine, taught / count), (
            "The value is the KL, but its gradient is not: it pushes every sampled word down alike, whatever the "
            "teacher says of it, which on average teaches nothing. Take teacher − student as a reward: detach() it, "
            "and multiply by the student's log-probability."
        )),
        (_same(mine, -ours), "The sign is turned: this makes likelier what the teacher finds too likely already."),
        (_same(mine, -(apart - student.detach()) * taught / count), (
            "The reward learns, too: detach() teacher − student, so that only the log-probability is pushed."
        )),
        (_same(mine, -1.0 * taught / count), "The teacher has no say here: each word must count by teacher − student."),
        (_same(mine, ours * count / taught.numel()), "Hidden places were counted: divide by taught.sum()."),
        (_same(mine, ours * count), "That is the sum: divide by taught.sum()."),
        (_same(mine, ours * count / len(taught)), "You divided by the answers. Divide by the tokens: taught.sum()."),
        (not _same(mine, ours), (
            "The gradient is not the one that is asked for: −(teacher − student), detached, times the student's log-"
            "probability, and the mean over the tokens."
        )),
        (_gradients(got, right, teacher)[0].any(), "Right, but the teacher would learn as well: detach() its side."),
    )  # fmt: skip
    return next(iter(found), None)
