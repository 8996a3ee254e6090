"""Preferences and rewards: DPO (Rafailov et al. 2023) in a dozen lines, the heart of GRPO (Shao et al. 2024) in thirty.

pairs:   log p(chosen), log p(rejected), with the adapter and without ──→ margin ──→ −log σ(β·margin)
rewards: sample a group of answers ──→ score them ──→ minus the group's mean ──→ push

What stands first is what lesson 13's exercises ask for, as the course writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from . import lora, models, tasks, training
from .tasks import IGNORED, Encoded, Preference


def answer_logprobs(logits: Tensor, labels: Tensor) -> Tensor:
    """log p(answer | question) of each row, in nats: the sum over its supervised tokens.

    `logits` is batch × tokens × vocabulary; those at token i predict token i + 1. `labels` is batch × tokens.
    """
    return token_logprobs(logits, labels).sum(-1)


def token_logprobs(logits: Tensor, labels: Tensor) -> Tensor:
    """log p of each supervised token, and 0 in the other places: batch × (tokens − 1)."""
    labels = labels[:, 1:]
    taught = labels != IGNORED
    logp = logits[:, :-1].float().log_softmax(-1)
    return logp.gather(-1, labels.where(taught, 0)[..., None])[..., 0] * taught


def dpo_loss(policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], beta: float) -> Tensor:
    """−log σ(β·margin), mean over the pairs; each tuple has log p(chosen) and log p(rejected), one number a pair."""
    return -logsigmoid(beta * margins(policy, reference)).mean()


def margins(policy: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> Tensor:
    """How much more training has raised the chosen answer than the rejected one: nats, one number a pair."""
    chosen, rejected = (p - ref for p, ref in zip(policy, reference, strict=True))
    return chosen - rejected


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """The base alone while the block runs: the reference of DPO, without a byte of its own."""
    layers = [layer for _, layer in lora.lora_layers(model)]
    scales = [layer.scaling for layer in layers]
    lora.set_scale(model, 0.0)
    try:
        yield
    finally:
        for layer, scaling in zip(layers, scales, strict=True):
            layer.scaling = scaling


def reference_of(model: nn.Module, logprobs: Callable[[Any], Any]) -> Any:
    """What `logprobs(model)` gives with the adapter off, without a gradient; afterwards the adapter is on again."""
    with torch.no_grad(), adapter_off(model):
        return logprobs(model)


def push(logprobs: Tensor, taught: Tensor, rewards: Tensor) -> Tensor:
    """The loss whose gradient makes an answer likelier the further its reward lies above its group's mean.

    REINFORCE with that mean as its baseline, and GRPO's mean over an answer's tokens where REINFORCE has their sum.
    This is the gradient of GRPO's loss (Shao et al. 2024, with β = 0 and no division by the standard deviation), as
    long as the model has not moved since it sampled these answers.
    `logprobs` is answers × tokens and 0 where `taught` is False; `rewards` is groups × answers, in the same order. An
    answer of which nothing is taught pushes nothing, as in TRL.
    """
    each = logprobs.sum(-1) / taught.sum(-1).clamp(min=1)
    return -(advantages(rewards).flatten() * each).mean()


def advantages(rewards: Tensor) -> Tensor:
    """How much better each answer did than its group's mean; `rewards` is groups × answers."""
    return rewards - rewards.mean(-1, keepdim=True)


# ---- training on pairs ----


def of_pairs(model: Any, pairs: Sequence[Preference], autocast: bool = False) -> tuple[Tensor, Tensor]:
    """log p of the chosen and of the rejected answers, one number a pair.

    In two passes: short answers padded to the length of wordy ones would cost as much as those.
    """
    chosen, rejected = (answer_logprobs(*logits_and_labels(model, side, autocast)) for side in zip(*pairs, strict=True))
    return chosen, rejected


def logits_and_labels(model: Any, answers: Sequence[Encoded], autocast: bool) -> tuple[Tensor, Tensor]:
    """The model's logits for chats padded to one rectangle, answers × tokens × vocabulary, and their labels."""
    batch = {name: one.to(model.device) for name, one in tasks.collate(answers, pad_id=0).items()}
    labels = batch.pop("labels")
    with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast), training.no_cache(model):
        return model(**batch).logits, labels


@torch.no_grad()
def scored(
    model: Any, pairs: Sequence[Preference], autocast: bool = False, batch_size: int = 8
) -> tuple[Tensor, Tensor]:
    """log p of both answers of any number of pairs, `batch_size` at a time, without gradients."""
    parts = [of_pairs(model, pairs[n : n + batch_size], autocast) for n in range(0, len(pairs), batch_size)]
    chosen, rejected = (torch.cat(one) for one in zip(*parts, strict=True))
    return chosen, rejected


def train_dpo(
    model: Any,
    pairs: Sequence[Preference],
    reference: tuple[Tensor, Tensor],
    how: training.Settings,
    beta: float = 0.1,
    loss_of: Callable[..., Tensor] = dpo_loss,
    on_step: Callable[[training.Training], Any] = lambda run: None,
) -> training.Training:
    """Train what is trainable in `model` to prefer the chosen answers, in place, with the steps and rates of `how`.

    `reference` is `scored` by the base, once for all pairs: it does not change while the adapter trains.
    Raises TrainingStopped when the loss is not finite, or a matrix gets no gradient.
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def parts(step: int, which: list[int]) -> Iterator[tuple[Tensor, float]]:
        for start in range(0, len(which), how.batch_size):
            part = which[start : start + how.batch_size]
            policy = of_pairs(model, [pairs[n] for n in part], how.autocast)
            found = loss_of(policy, (reference[0][part], reference[1][part]), beta) * (len(part) / len(which))
            yield found, found.item()
        if step == 0:  # every part has gone backward by now
            training.check_gradients(learned)

    was_training = model.training
    # blocks are computed again in this mode alone; else no dropout, as in TRL: the reference has none
    model.train(how.gradient_checkpointing)
    try:
        with training.checkpointing(model) if how.gradient_checkpointing else training.no_cache(model):
            return _train(model, len(pairs), how, parts, on_step)
    finally:
        model.train(was_training)


def _train(
    model: Any,
    count: int,
    how: training.Settings,
    parts_of: Callable[[int, list[int]], Iterator[tuple[Tensor, float]]],
    on_step: Callable[[training.Training], Any],
) -> training.Training:
    """AdamW over what is trainable; `parts_of` a step and the examples it draws are the parts of its loss,
    and of the number to keep."""
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=how.learning_rate, weight_decay=how.weight_decay)
    run = training.Training(steps=how.steps)
    for step, which in enumerate(training.batches(count, how)):
        begun, kept = time.perf_counter(), 0.0
        optimizer.zero_grad()
        for loss, share in parts_of(step, which):
            training.check_loss(loss.detach(), step, how.learning_rate)
            loss.backward()
            kept += share
        for group in optimizer.param_groups:
            group["lr"] = how.rate(step)
        optimizer.step()
        run.add(kept, 0, 0, time.perf_counter() - begun)
        on_step(run)
    return run


# ---- training on a reward ----


class Group(NamedTuple):
    """Answers that a model sampled to one question: as tokens (the question hidden), and as text."""

    encoded: list[Encoded]
    texts: list[str]


@torch.no_grad()
def sample(base: models.Base, questions: Sequence[str], count: int, max_new_tokens: int, seed: int) -> list[Group]:
    """`count` answers to each question, drawn from the model as it is, at temperature 1.

    An answer that is cut off has no end token.
    """
    texts = [models.rendered(base.tokenizer, [{"role": "user", "content": question}]) for question in questions]
    asked = [torch.tensor(base.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    end, wide = base.tokenizer.eos_token_id, max(map(len, asked))
    # padded on the left, so that every answer begins in the same column
    ids = torch.stack([torch.cat([torch.full((wide - len(one),), end), one]) for one in asked])
    seen = torch.stack([torch.arange(wide) >= wide - len(one) for one in asked])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = base.model.generate(
            input_ids=ids.repeat_interleave(count, 0).to(base.model.device),
            attention_mask=seen.repeat_interleave(count, 0).long().to(base.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            repetition_penalty=1.0,
            eos_token_id=end,
            pad_token_id=end,
        ).cpu()
    answers = [_until(end, row) for row in made[:, wide:]]
    texts = base.tokenizer.batch_decode(answers, skip_special_tokens=True)
    encoded = [_answered(asked[n // count], answer) for n, answer in enumerate(answers)]
    return [Group(encoded[n : n + count], texts[n : n + count]) for n in range(0, len(answers), count)]


def _until(end: int, answer: Tensor) -> Tensor:
    """An answer's tokens up to its first end token, which belongs to it."""
    ends = (answer == end).nonzero().flatten()
    return answer[: int(ends[0]) + 1] if len(ends) else answer


def _answered(asked: Tensor, answer: Tensor) -> Encoded:
    """A question and an answer as tokens, of which the answer's are supervised."""
    return Encoded(torch.cat([asked, answer]), torch.cat([torch.full_like(asked, IGNORED), answer]))


def train_on_reward(
    base: models.Base,
    questions: Sequence[str],
    reward: Callable[[str], float],
    how: training.Settings,
    group: int = 8,
    max_new_tokens: int = 48,
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor] = push,
    on_step: Callable[[training.Training], Any] = lambda run: None,
) -> training.Training:
    """Train on what `reward` says of the model's own answers: `how.batch_size` questions a step,
    `group` answers to each.

    What is kept of each step is the mean reward, not the loss, whose value says nothing. Every answer is used once, by
    the model that sampled it. Raises TrainingStopped when the loss is not finite.
    """

    def whole(step: int, which: list[int]) -> Iterator[tuple[Tensor, float]]:
        drawn = sample(base, [questions[n] for n in which], group, max_new_tokens, how.seed * how.steps + step)
        rewards = torch.tensor([[reward(text) for text in one.texts] for one in drawn], device=base.model.device)
        answers = [one for each in drawn for one in each.encoded]
        logits, labels = logits_and_labels(base.model, answers, how.autocast)
        found = loss_of(token_logprobs(logits, labels), labels[:, 1:] != IGNORED, rewards)
        yield found, rewards.mean().item()

    return _train(base.model, len(questions), how, whole, on_step)


def brief(answer: str, most: int = 12) -> float:
    """1 for a whole sentence of at most `most` words, else 0: a reward that a program checks."""
    return float(0 < len(answer.split()) <= most and answer.rstrip().endswith((".", "!", "?")))
