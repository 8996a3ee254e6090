"""Exercises of lesson 17: an answer's probability, DPO's loss, its reference, and the push of a reward."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from ... import lora, preferences
from ...course.exercises import answered, exercise
from ...errors import first_line
from ...tasks import IGNORED

Named = list[tuple[Tensor, str]]
Both = tuple[Tensor, Tensor]


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _named(got: Tensor, wrong: Named) -> str | None:
    """The sentence of the first wrong value that `got` is."""
    return next(
        (why for value, why in wrong if got.shape == value.shape and torch.allclose(got, value, atol=1e-5)), None
    )


def _no_tensor(got: Any, shape: tuple[int, ...], what: str) -> str | None:
    """What is wrong with what was returned, before its value is looked at."""
    if not isinstance(got, Tensor):
        return f"Return a tensor, {what}, and no {type(got).__name__}: backward() starts from it."
    if not got.requires_grad:
        return "Your result has lost its way back to the model: no detach(), no .item(), no torch.no_grad()."
    if tuple(got.shape) != shape:
        return f"Return {what}, of shape {shape}; yours has the shape {tuple(got.shape)}."
    return None


# ---- 17.1 ----


@exercise("17.1", "How likely is an answer?", difficulty=2, minutes=8)
def exercise_17_1(answer_logprobs: Callable[[Tensor, Tensor], Any]) -> str | None:
    logits = _random(2, 5, 7, seed=4).requires_grad_()
    labels = torch.tensor([[IGNORED, IGNORED, 3, 1, 2], [IGNORED, 4, 2, IGNORED, IGNORED]])
    try:
        got = answered(answer_logprobs(logits, labels.clone()))  # who writes into it writes into a copy
    except (RuntimeError, IndexError) as error:
        return (
            f"PyTorch stopped ({first_line(error)}). -100 is no place in the vocabulary: put 0 there before gather, "
            "and leave those places out of the sum. Of five tokens four are predicted, by the logits before them."
        )
    logp, hidden = logits.log_softmax(-1), labels.where(labels != IGNORED, 0)
    right, taught = preferences.answer_logprobs(logits, labels), labels != IGNORED
    in_place = logp.gather(-1, hidden[..., None])[..., 0]
    if isinstance(got, Tensor) and got.shape == () and torch.allclose(got, right.sum(), atol=1e-5):
        return (
            "You added up the whole batch. Each answer needs a number of its own: sum over the tokens, "
            "the last dimension."
        )
    if advice := _no_tensor(got, (2,), "one number for each row"):
        return advice
    if torch.allclose(got, right, atol=1e-5):
        more = _random(3, 6, 9, seed=5), torch.tensor([[IGNORED, 1, 8, 2, 0, 7]] * 3)
        fits = torch.allclose(answer_logprobs(*more), preferences.answer_logprobs(*more), atol=1e-5)
        return None if fits else "Right for five tokens of seven words, wrong for six of nine: use the shapes as given."
    every = logp[:, :-1].gather(-1, hidden[:, 1:, None])[..., 0]
    wrong: Named = [
        (right / taught.sum(-1), _MEAN),
        (every.mean(-1), _MEAN),
        (every.sum(-1), _PROMPT),
        ((in_place * taught).sum(-1), (
            "Nothing is shifted: the logits at token i predict token i + 1. Drop the last logits and the first label."
        )),
        (
            (logp[:, 1:].gather(-1, hidden[:, :-1, None])[..., 0] * taught[:, :-1]).sum(-1),
            "The shift goes the wrong way: logits[:, :-1] predict labels[:, 1:].",
        ),
        (in_place.sum(-1), _PROMPT),
        (-right, "The sign is turned: that is the loss of the answer. Its log-probability is below zero."),
        (right.exp(), "That is the probability, which is 0 in 32 bits for a long answer. Keep its logarithm: a sum."),
        (
            (logits[:, :-1].gather(-1, hidden[:, 1:, None])[..., 0] * taught[:, 1:]).sum(-1),
            "You added logits up. Take log_softmax(-1) first, so that they are log-probabilities.",
        ),
        (
            (logp.exp()[:, :-1].gather(-1, hidden[:, 1:, None])[..., 0] * taught[:, 1:]).sum(-1),
            "You added probabilities. Probabilities multiply, so their logarithms add: log_softmax, not softmax.",
        ),
    ]  # fmt: skip
    return _named(got, wrong) or (
        f"For this batch it is {right[0]:.2f} and {right[1]:.2f}; you gave {got[0]:.2f} and {got[1]:.2f}. Shift by "
        "one, look each label's log-probability up, and add up those that are taught."
    )


_MEAN = (
    "That is the mean over the tokens. The probability of an answer is the product of its tokens', so its logarithm is "
    "their sum: DPO compares whole answers."
)
_PROMPT = (
    "Hidden places count, too: where the label is -100 stands the prompt or padding, which the model did not answer. "
    "Multiply by the mask before you add up."
)


# ---- 17.2 ----


@exercise(
    "17.2",
    "The loss of a preference",
    difficulty=2,
    minutes=10,
    keeps="dpo_loss",
    imports="from torch.nn.functional import logsigmoid\n",
)
def exercise_17_2(dpo_loss: Callable[[Both, Both, float], Any]) -> str | None:
    beta = 0.3
    pc, pr, rc, rr = (torch.tensor(row) for row in ([-9.0, -14.0], [-31.0, -22.0], [-11.0, -13.0], [-30.0, -26.0]))
    pc.requires_grad_(), pr.requires_grad_()
    got = answered(dpo_loss((pc, pr), (rc, rr), beta))
    margin = (pc - rc) - (pr - rr)
    each = -logsigmoid(beta * margin)
    if isinstance(got, Tensor) and _named(got, [(each, "")]) is not None:
        return "Those are the losses of the single pairs: return their mean."
    at_rest = torch.tensor(math.log(2))
    if isinstance(got, Tensor) and got.shape == () and torch.allclose(got, at_rest, atol=1e-5):
        return _REST
    if advice := _no_tensor(got, (), "one number, the mean over the pairs"):
        return advice
    if torch.allclose(got, each.mean(), atol=1e-5):
        return _other_betas(dpo_loss)
    wrong: Named = [
        (each.sum(), "That is the sum over the pairs: take the mean, or a larger batch would take larger steps."),
        (-logsigmoid(-beta * margin).mean(), (
            "The sign is turned: this teaches the model to prefer the rejected answers."
        )),
        (logsigmoid(beta * margin).mean(), "The minus sign is missing: a loss falls, and log σ must rise."),
        (-logsigmoid(margin).mean(), "β is missing: multiply the margin by it, inside σ."),
        (-logsigmoid(margin / beta).mean(), "You divided by β: the margin is multiplied by it."),
        (beta * -logsigmoid(margin).mean(), "β stands outside: there it only scales the steps. It belongs inside σ."),
        (-logsigmoid(beta * (pc - pr)).mean(), (
            "The reference is missing: subtract each answer's log-probability under it."
        )),
        (-logsigmoid(beta * ((pc + rc) - (pr + rr))).mean(), "You added the reference: subtract it."),
        (-logsigmoid(beta * (pc - rc)).mean(), "The rejected answer is missing: the margin is chosen minus rejected."),
        (-torch.sigmoid(beta * margin).mean(), "The logarithm is missing: −log σ, not −σ."),
        ((1 - torch.sigmoid(beta * margin)).mean(), "The logarithm is missing: −log σ, not 1 − σ."),
        (-logsigmoid(beta * margin.mean()), (
            "You took the mean of the margins first: −log σ of each pair, then the mean."
        )),
    ]  # fmt: skip
    return _named(got, wrong) or (
        f"For these two pairs the loss is {each.mean():.3f}; you gave {got:.3f}. The margin is how much the chosen "
        "answer rose above its reference, minus how much the rejected one did."
    )


_REST = (
    "Your loss is ln 2 = 0.693 whatever the model has learned: the margin is always 0. That happens when an answer is "
    "compared with itself, the policy with the policy, instead of with the reference."
)


def _other_betas(dpo_loss: Callable[[Both, Both, float], Tensor]) -> str | None:
    """What is wrong with a loss that is right for one β: another β, and a margin of a badly lost pair."""
    zero = torch.zeros(1)
    lost = torch.tensor([-4000.0]).requires_grad_(), zero
    loss = dpo_loss(lost, (zero, zero), 0.1)
    if not torch.isfinite(loss):
        return (
            "For a pair far on the wrong side σ is 0 in 32 bits, and log(0) is −∞. Use logsigmoid, "
            "which computes both at once."
        )
    if not torch.allclose(loss, torch.tensor(400.0)):
        return "Right for β = 0.3 and wrong for β = 0.1: use `beta` as given."
    loss.backward()
    return None if lost[0].grad is not None else "Your loss has lost its way back to the model: no detach()."


# ---- 17.3 ----


@exercise(
    "17.3",
    "A reference that takes no room",
    difficulty=2,
    minutes=8,
    keeps="reference_of",
    imports="import torch\n\nfrom lora_lessons import lora\n",
)
def exercise_17_3(reference_of: Callable[[nn.Module, Callable[[Any], Tensor]], Any]) -> str | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 3, bias=False))
    x = _random(4, 6, seed=1)
    with torch.no_grad():
        base = model(x)
    lora.attach(model, r=2, lora_alpha=4)
    layers = [layer for _, layer in lora.lora_layers(model)]
    for n, layer in enumerate(layers):
        layer.lora_B.data = _random(*layer.lora_B.shape, seed=n)
    trained = model(x).detach()
    learning = []

    def logprobs(one: Any) -> Tensor:
        learning.append(torch.is_grad_enabled())
        made: Tensor = one(x)
        return made

    got = answered(reference_of(model, logprobs))
    if not isinstance(got, Tensor):
        return f"Return what `logprobs(model)` returned, and no {type(got).__name__}."
    if torch.allclose(got, trained, atol=1e-6):
        return (
            "This reference is the trained adapter itself: the adapter is still on. Asked at each step, every margin "
            "would be 0 and the loss would stay at ln 2 = 0.693 however far the model moves: its gradient is not 0, "
            "and nothing holds it back."
        )
    if not torch.allclose(got, base, atol=1e-6):
        return "That is neither the base nor the trained model: lora.set_scale(model, 0) turns every update off."
    if len(list(lora.lora_layers(model))) < len(layers):
        return "The adapter is gone for good, with all it learned. Turn it off instead: lora.set_scale(model, 0)."
    after = model(x).detach()
    if torch.allclose(after, base, atol=1e-6):
        return "The adapter is still off when you return, so nothing would train from here: lora.set_scale(model, 1)."
    if not torch.allclose(after, trained, atol=1e-6):
        return "After your function the model is not what it was: set the scale back to 1, and leave A and B alone."
    if got.requires_grad:
        return (
            "The reference carries a gradient, which costs memory and must not train: compute it under torch.no_grad()."
        )
    if any(learning):
        return (
            "Right, but the way back to the model was built before you dropped it, and it costs the memory: call "
            "logprobs under torch.no_grad()."
        )
    return None


# ---- 17.4 ----


@exercise("17.4", "Push what was better than the rest", difficulty=3, minutes=12)
def exercise_17_4(push: Callable[[Tensor, Tensor, Tensor], Any]) -> str | None:
    taught = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    logprobs = (_random(4, 4, seed=8) - 2).mul(taught).requires_grad_()
    rewards = torch.tensor([[1.0, 0.0], [3.0, 2.5]])
    try:
        got = answered(push(logprobs, taught, rewards))
    except RuntimeError as error:
        if _TABLE.search(str(error)):
            return (
                "Rewards are groups × answers, and the rows of logprobs are all answers one after the other: "
                f".flatten() what you made of the rewards before you multiply (PyTorch says: {first_line(error)})."
            )
        raise
    if advice := _no_tensor(got, (), "one number, the mean over the answers"):
        return advice
    right = preferences.push(logprobs, taught, rewards)
    each, total = logprobs.sum(-1) / taught.sum(-1), logprobs.sum(-1)
    advantage, flat = preferences.advantages(rewards).flatten(), rewards.flatten()
    std = preferences.advantages(rewards) / rewards.std(-1, keepdim=True)
    if torch.allclose(got, right, atol=1e-5):
        other = rewards.view(1, 4), rewards.repeat(2, 1)
        twice = torch.cat([logprobs] * 2), torch.cat([taught] * 2)
        fits = torch.allclose(push(logprobs, taught, other[0]), preferences.push(logprobs, taught, other[0]), atol=1e-5)
        fits &= torch.allclose(push(*twice, other[1]), preferences.push(*twice, other[1]), atol=1e-5)
        return (
            None if fits else "Right for two groups of two answers, wrong for another number: use the shapes as given."
        )
    if torch.allclose(
        got, torch.zeros(()), atol=1e-6
    ):  # as GRPO writes it, exp(log p − log p), which is a gradient alone
        (mine,), (ours,) = (torch.autograd.grad(one, logprobs, retain_graph=True) for one in (got, right))
        return None if torch.allclose(mine, ours, atol=1e-6) else _ZERO
    wrong: Named = [
        (-right, "The sign is turned: this pushes the worse answers up. A loss falls, so it starts with a minus."),
        (-(flat * each).mean(), _NO_MEAN),
        (-((flat - flat.mean()) * each).mean(), (
            "You subtracted the mean of all rewards. Each group has its own: "
            "an easy question must not reward every answer to it."
        )),
        (-((rewards - rewards.mean(0)).flatten() * each).mean(), (
            "You took the mean across the groups: rewards.mean(-1, keepdim=True) is each group's own."
        )),
        (-(std.flatten() * each).mean(), (
            "You also divided by the standard deviation. GRPO's paper does, TRL's scale_rewards=\"none\" does not, and "
            "here we do not: it makes much of tiny differences."
        )),
        (-(advantage * total).mean(), (
            "You added an answer's tokens up, so a long answer is pushed harder than a short one. "
            "GRPO takes the mean over its tokens."
        )),
        (-(advantage * logprobs.mean(-1)).mean(), (
            "The mean over the row counts the hidden places as well: divide by taught.sum(-1)."
        )),
        (-(advantage[:, None] * logprobs).sum() / taught.sum(), (
            "That is the mean over all tokens, in which long answers weigh more. Take each answer's mean first, "
            "then the mean over answers."
        )),
        (-(advantage * each).sum(), "That is the sum over the answers: take the mean."),
    ]  # fmt: skip
    return _named(got, wrong) or (
        f"For these four answers it is {right:.3f}; you gave {got:.3f}. Reward minus the group's mean, times the mean "
        "log-probability of the answer's tokens; then minus the mean over the answers."
    )


# two groups of two rewards against four answers
_TABLE = re.compile(r"size of tensor a \([24]\) must match the size of tensor b \([24]\)")
_ZERO = (
    "Your loss is 0 here, because advantages add up to 0. Each belongs to its own answer: multiply first, "
    "then take the mean."
)
_NO_MEAN = (
    "The group's mean is missing: where every reward is above 0, every answer is pushed up, good or bad. Subtract "
    "rewards.mean(-1, keepdim=True)."
)
