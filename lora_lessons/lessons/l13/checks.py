"""Exercises of lesson 13: an answer's probability, DPO's loss, its reference, and the push of a reward."""

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
from ...errors import first_line, holding
from ...tasks import IGNORED

Both = tuple[Tensor, Tensor]
DETACHED = "Your result has lost its way back to the model: no detach(), no .item(), no torch.no_grad()."


def _random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _same(got: Any, value: Tensor) -> bool:
    return isinstance(got, Tensor) and got.shape == value.shape and torch.allclose(got, value, atol=1e-5)


def _wrong(got: Any, right: Tensor, what: str, mistakes: list[tuple[Tensor, str]], rule: str) -> str | None:
    """The sentence of the first mistake whose value `got` is, or of what it lacks to be `right`; None where it is."""
    named = [why for value, why in mistakes if _same(got, value)]
    kind, shape, taught = type(got).__name__, tuple(getattr(got, "shape", ())), getattr(got, "requires_grad", True)
    given, due = (", ".join(f"{n:.3f}" for n in torch.as_tensor(one).flatten()[:2]) for one in (_numbers(got), right))
    others = holding(
        (not isinstance(got, Tensor), f"Return a tensor, {what}, and no {kind}: backward() starts from it."),
        (not taught, DETACHED),
        (shape != tuple(right.shape), f"Return {what}, of shape {tuple(right.shape)}; yours has the shape {shape}."),
        (not _same(got, right), f"For this example it is {due}; you gave {given}. {rule}"),
    )
    return next(iter(named + others), None)


def _numbers(got: Any) -> Tensor:
    return got.detach() if isinstance(got, Tensor) else torch.zeros(0)


# ---- 13.1 ----


@exercise("13.1", "How likely is an answer?", difficulty=2, minutes=8)
def exercise_13_1(answer_logprobs: Callable[[Tensor, Tensor], Any]) -> str | None:
    logits = _random(2, 5, 7, seed=4).requires_grad_()
    labels = torch.tensor([[IGNORED, IGNORED, 3, 1, 2], [IGNORED, 4, 2, IGNORED, IGNORED]])
    try:
        got = answered(answer_logprobs(logits, labels.clone()))  # who writes into it writes into a copy
    except (RuntimeError, IndexError) as error:
        return (
            f"PyTorch stopped ({first_line(error)}). -100 is no place in the vocabulary: put 0 there before gather, "
            "and leave those places out of the sum. Of five tokens four are predicted, by the logits before them."
        )
    right, taught = preferences.answer_logprobs(logits, labels), labels != IGNORED
    logp, places = logits.log_softmax(-1), labels.where(taught, 0)[..., None]
    every, raw, likely = (one[:, :-1].gather(-1, places[:, 1:])[..., 0] for one in (logp, logits, logp.exp()))
    unshifted, backward = logp.gather(-1, places)[..., 0], logp[:, 1:].gather(-1, places[:, :-1])[..., 0]
    mistakes = [
        (right.sum(), (
            "You added up the whole batch. Each answer needs a number of its own: sum over the tokens, "
            "the last dimension."
        )),
        (right / taught.sum(-1), _MEAN),
        (every.mean(-1), _MEAN),
        (every.sum(-1), _PROMPT),
        ((unshifted * taught).sum(-1), (
            "Nothing is shifted: the logits at token i predict token i + 1. Drop the last logits and the first label."
        )),
        ((backward * taught[:, :-1]).sum(-1), "The shift goes the wrong way: logits[:, :-1] predict labels[:, 1:]."),
        (unshifted.sum(-1), _PROMPT),
        (-right, "The sign is turned: that is the loss of the answer. Its log-probability is below zero."),
        (right.exp(), "That is the probability, which is 0 in 32 bits for a long answer. Keep its logarithm: a sum."),
        ((raw * taught[:, 1:]).sum(-1), (
            "You added logits up. Take log_softmax(-1) first, so that they are log-probabilities."
        )),
        ((likely * taught[:, 1:]).sum(-1), (
            "You added probabilities. Probabilities multiply, so their logarithms add: log_softmax, not softmax."
        )),
    ]  # fmt: skip
    rule = "Shift by one, look each label's log-probability up, and add up those that are taught."
    if wrong := _wrong(got, right, "one number for each row", mistakes, rule):
        return wrong
    more = _random(3, 6, 9, seed=5), torch.tensor([[IGNORED, 1, 8, 2, 0, 7]] * 3)
    fits = torch.allclose(answer_logprobs(*more), preferences.answer_logprobs(*more), atol=1e-5)
    return None if fits else "Right for five tokens of seven words, wrong for six of nine: use the shapes as given."


_MEAN = (
    "That is the mean over the tokens. The probability of an answer is the product of its tokens', so its logarithm is "
    "their sum: DPO compares whole answers."
)
_PROMPT = (
    "Hidden places count, too: where the label is -100 stands the prompt or padding, which the model did not answer. "
    "Multiply by the mask before you add up."
)


# ---- 13.2 ----


@exercise(
    "13.2",
    "The loss of a preference",
    difficulty=2,
    minutes=10,
    keeps="dpo_loss",
    imports="from torch.nn.functional import logsigmoid\n",
)
def exercise_13_2(dpo_loss: Callable[[Both, Both, float], Any]) -> str | None:
    beta = 0.3
    pc, pr, rc, rr = (torch.tensor(row) for row in ([-9.0, -14.0], [-31.0, -22.0], [-11.0, -13.0], [-30.0, -26.0]))
    got = answered(dpo_loss((pc.requires_grad_(), pr.requires_grad_()), (rc, rr), beta))
    margin = (pc - rc) - (pr - rr)
    each = -logsigmoid(beta * margin)
    mistakes = [
        (each, "Those are the losses of the single pairs: return their mean."),
        (torch.tensor(math.log(2)), (
            "Your loss is ln 2 = 0.693 whatever the model has learned: the margin is always 0. That happens when an "
            "answer is compared with itself, the policy with the policy, instead of with the reference."
        )),
        (each.sum(), "That is the sum over the pairs: take the mean, or a larger batch would take larger steps."),
        (-logsigmoid(-beta * margin).mean(), (
            "The sign is turned: this teaches the model to prefer the rejected answers."
        )),
        (-each.mean(), "The minus sign is missing: a loss falls, and log σ must rise."),
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
    rule = "The margin is how much the chosen answer rose above its reference, minus how much the rejected one did."
    if wrong := _wrong(got, each.mean(), "one number, the mean over the pairs", mistakes, rule):
        return wrong
    # another β, and the margin of a badly lost pair
    zero, lost = torch.zeros(1), torch.tensor([-4000.0]).requires_grad_()
    loss = dpo_loss((lost, zero), (zero, zero), 0.1)
    wrong = next(iter(holding(
        (not torch.isfinite(loss), (
            "For a pair far on the wrong side σ is 0 in 32 bits, and log(0) is −∞. Use logsigmoid, "
            "which computes both at once."
        )),
        (not torch.allclose(loss, torch.tensor(400.0)), (
            "Right for β = 0.3 and wrong for β = 0.1: use `beta` as given."
        )),
    )), None)  # fmt: skip
    if wrong:
        return wrong
    loss.backward()
    return None if lost.grad is not None else DETACHED


# ---- 13.3 ----


@exercise(
    "13.3",
    "A reference that takes no room",
    difficulty=2,
    minutes=8,
    keeps="reference_of",
    imports="import torch\n\nfrom lora_lessons import lora\n",
)
def exercise_13_3(reference_of: Callable[[nn.Module, Callable[[Any], Tensor]], Any]) -> str | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Linear(5, 3, bias=False))
    x = _random(4, 6, seed=1)
    base = model(x).detach()
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
    after = model(x).detach()
    found = holding(
        (_same(got, trained), (
            "This reference is the trained adapter itself: the adapter is still on. Asked at each step, every margin "
            "would be 0 and the loss would stay at ln 2 = 0.693 however far the model moves: its gradient is not 0, "
            "and nothing holds it back."
        )),
        (not _same(got, base), (
            "That is neither the base nor the trained model: lora.set_scale(model, 0) turns every update off."
        )),
        (len(list(lora.lora_layers(model))) < len(layers), (
            "The adapter is gone for good, with all it learned. Turn it off instead: lora.set_scale(model, 0)."
        )),
        (_same(after, base), (
            "The adapter is still off when you return, so nothing would train from here: lora.set_scale(model, 1)."
        )),
        (not _same(after, trained), (
            "After your function the model is not what it was: set the scale back to 1, and leave A and B alone."
        )),
        (got.requires_grad, (
            "The reference carries a gradient, which costs memory and must not train: compute it under torch.no_grad()."
        )),
        (any(learning), (
            "Right, but the way back to the model was built before you dropped it, and it costs the memory: call "
            "logprobs under torch.no_grad()."
        )),
    )  # fmt: skip
    return next(iter(found), None)


# ---- 13.4 ----


@exercise("13.4", "Push what was better than the rest", difficulty=3, minutes=12)
def exercise_13_4(push: Callable[[Tensor, Tensor, Tensor], Any]) -> str | None:
    taught = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1]]).bool()
    logprobs = (_random(4, 4, seed=8) - 2).mul(taught).requires_grad_()
    rewards = torch.tensor([[1.0, 0.0], [3.0, 2.5]])
    try:
        got = answered(push(logprobs, taught, rewards))
    except RuntimeError as error:
        # two groups of two rewards against four answers
        if re.search(r"size of tensor a \([24]\) must match the size of tensor b \([24]\)", str(error)):
            return (
                "Rewards are groups × answers, and the rows of logprobs are all answers one after the other: "
                f".flatten() what you made of the rewards before you multiply (PyTorch says: {first_line(error)})."
            )
        raise
    right, zero = preferences.push(logprobs, taught, rewards), torch.zeros(())
    if _same(got, zero) and got.requires_grad:  # as GRPO writes it, exp(log p − log p), which is a gradient alone
        mine, ours = (torch.autograd.grad(one, logprobs, retain_graph=True)[0] for one in (got, right))
        if torch.allclose(mine, ours, atol=1e-6):
            return None
    each, total, flat = logprobs.sum(-1) / taught.sum(-1), logprobs.sum(-1), rewards.flatten()
    better = preferences.advantages(rewards)
    advantage, scaled = better.flatten(), (better / rewards.std(-1, keepdim=True)).flatten()
    mistakes = [
        (zero, (
            "Your loss is 0 here, because advantages add up to 0. Each belongs to its own answer: multiply first, "
            "then take the mean."
        )),
        (-right, "The sign is turned: this pushes the worse answers up. A loss falls, so it starts with a minus."),
        (-(flat * each).mean(), (
            "The group's mean is missing: where every reward is above 0, every answer is pushed up, good or bad. "
            "Subtract rewards.mean(-1, keepdim=True)."
        )),
        (-((flat - flat.mean()) * each).mean(), (
            "You subtracted the mean of all rewards. Each group has its own: "
            "an easy question must not reward every answer to it."
        )),
        (-((rewards - rewards.mean(0)).flatten() * each).mean(), (
            "You took the mean across the groups: rewards.mean(-1, keepdim=True) is each group's own."
        )),
        (-(scaled * each).mean(), (
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
    rule = (
        "Reward minus the group's mean, times the mean log-probability of the answer's tokens; "
        "then minus the mean over the answers."
    )
    if wrong := _wrong(got, right, "one number, the mean over the answers", mistakes, rule):
        return wrong
    twice = torch.cat([logprobs] * 2), torch.cat([taught] * 2), rewards.repeat(2, 1)
    others = (logprobs, taught, rewards.view(1, 4)), twice
    fits = all(torch.allclose(push(*one), preferences.push(*one), atol=1e-5) for one in others)
    return None if fits else "Right for two groups of two answers, wrong for another number: use the shapes as given."
