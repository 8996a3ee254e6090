"""Distillation: at every place of an answer, a student learns to say what its teacher would say there.

on the teacher's answers:       KL(teacher ‖ student), forward    at every place all words of the vocabulary, with
on the student's own answers:   KL(student ‖ teacher), reverse    the probabilities that the teacher gives them

The second is on-policy (Agarwal et al. 2023): the student is corrected where it goes itself. Lesson 14 asks for both.
"""

from __future__ import annotations

from torch import Tensor


def forward_kl(teacher: Tensor, student: Tensor, taught: Tensor) -> Tensor:
    """KL(teacher ‖ student), mean over the places where `taught` is True, in nats a token.

    Both are logits, batch × places × vocabulary, and `taught` is batch × places. The teacher gets no gradient.
    """
    return _kl(teacher.detach(), student, taught)


def reverse_kl(teacher: Tensor, student: Tensor, taught: Tensor) -> Tensor:
    """KL(student ‖ teacher), else as `forward_kl`: it weighs the words by how likely the student finds them."""
    return _kl(student, teacher.detach(), taught)


def _kl(one: Tensor, other: Tensor, taught: Tensor) -> Tensor:
    p, q = (logits[taught].float().log_softmax(-1) for logits in (one, other))
    return (p.exp() * (p - q)).sum(-1).mean()


def on_policy(student: Tensor, teacher: Tensor, taught: Tensor) -> Tensor:
    """The loss whose gradient is that of `reverse_kl`, on average, from the sampled words alone.

    Both are log p of the words that the student sampled, answers × tokens and 0 where `taught` is False. What each is
    worth is how much likelier the teacher finds it: lesson 13's push, with a reward for every token.
    """
    worth = (teacher - student).detach()
    return -(worth * student).sum() / taught.sum()
