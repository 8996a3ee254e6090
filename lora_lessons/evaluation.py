"""What a model is worth after training: gain on the task, forgetting, format drift, and the cost."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from . import models, tasks
from .tasks import scores
from .training import no_cache


@contextmanager
def _measuring(model: Any) -> Iterator[None]:
    """No dropout while the block runs, and no cache, without which a packed row's conversations keep apart."""
    was_training = model.training
    model.eval()
    try:
        with no_cache(model):
            yield
    finally:
        model.train(was_training)


def _inputs(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """What a model reads of a batch (see `tasks.collate`), packed or not: all but the labels."""
    return {name: tensor.to(device) for name, tensor in batch.items() if name != "labels"}


@torch.no_grad()
def held_out_loss(model: Any, examples: Sequence[tasks.Encoded], batch_size: int = 16, autocast: bool = False) -> float:
    """Mean cross-entropy per supervised token, in nats: 0 is certainty, ln(vocabulary) is a blind guess.

    With autocast the products are computed in bf16, as in training with it. Raises ModelError when it is not finite,
    ValueError when no token is supervised.
    """
    total, count = 0.0, 0
    with _measuring(model):
        for start in range(0, len(examples), batch_size):
            batch = tasks.collate(examples[start : start + batch_size], pad_id=0)
            first = int((batch["labels"] != tasks.IGNORED).any(0).int().argmax())
            labels = batch["labels"][:, max(0, first - 1) :]  # what stands before predicts no answer
            with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
                logits = model(**_inputs(batch, model.device), logits_to_keep=labels.shape[1]).logits
            taught = labels[:, 1:] != tasks.IGNORED  # token i + 1 is what the model should have said after token i
            total += cross_entropy(
                logits[:, -labels.shape[1] : -1][taught].float().cpu(), labels[:, 1:][taught], reduction="sum"
            ).item()
            count += int(taught.sum())
    models.check_finite(model, torch.tensor(total), "The held-out loss")
    if not count:
        raise ValueError("no token of these examples is supervised, so there is no loss: give some with an answer.")
    return total / count


@torch.no_grad()
def perplexity(base: models.Base, text: str, window: int = 256) -> float:
    """exp(mean cross-entropy per token) on `text`, read in windows: the size of the choice the model still faces.

    Raises ValueError when the text is too short to predict anything,
    ModelError when the model's numbers are not finite.
    """
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    windows = [w for w in ids.split(window) if len(w) > 1]
    if not windows:
        raise ValueError("perplexity needs a text of at least two tokens.")
    total = 0.0
    with _measuring(base.model):
        for one in windows:
            logits = base.model(one[None, :-1].to(base.model.device)).logits[0].float().cpu()
            total += cross_entropy(logits, one[1:], reduction="sum").item()
    models.check_finite(base.model, torch.tensor(total), "The perplexity")
    mean = total / sum(len(w) - 1 for w in windows)
    return math.exp(mean) if mean < math.log(sys.float_info.max) else math.inf


class Score(NamedTuple):
    """How a model stands on a task, and beside it. Every share is 0 … 1."""

    loss: float  # held-out loss, nats per supervised token
    kept: float  # share of held-out prompts whose answer breaks no rule of the task
    general: float  # perplexity on text of no task: what forgetting shows in
    drift: float  # share of everyday questions answered in the task's form, though nobody asked: format drift


def drawn(task: tasks.Task, limit: int) -> list[dict[str, Any]]:
    """`limit` held-out examples, over all topics and always the same ones."""
    return random.Random(0).sample(task.held_out, min(limit, len(task.held_out)))


def score(
    base: models.Base, task: tasks.Task, limit: int = 16, general: str | None = None, max_new_tokens: int = 80
) -> Score:
    """Score the model as it is now, adapters included: greedy answers, judged by the rules in `scores`.

    `limit` is how many held-out examples (see `drawn`) and everyday questions are used; `general` the text for the
    perplexity (default: all of tasks.general_text()). Raises ValueError when no rules are written for the task.
    """
    held_out = drawn(task, limit)
    prompts = [example["messages"][-2]["content"] for example in held_out]
    answers = models.answers(base, [*prompts, *tasks.everyday_questions()[:limit]], max_new_tokens, batch_size=48)
    kept = [not scores.faults(task.name, answer, example) for answer, example in zip(answers, held_out, strict=False)]
    drift = [scores.looks_like(task.name, answer) for answer in answers[len(held_out) :]]
    examples = [tasks.encode(base.tokenizer, example) for example in held_out]
    loss, text = held_out_loss(base.model, examples), tasks.general_text() if general is None else general
    return Score(loss, sum(kept) / len(kept), perplexity(base, text), sum(drift) / len(drift))


def interval(share: float, of: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share seen in `of` trials (Wilson 1927): sensible for few trials, and at 0 and 1 too.

    Raises ValueError for no trials, or a share outside 0 … 1.
    """
    if of < 1 or not 0 <= share <= 1:
        raise ValueError(f"an interval needs trials and a share of them, not {share:g} of {of}.")
    middle = share + z * z / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)
    return max(0.0, low), min(1.0, high)


class Scorecard(NamedTuple):
    """A training beside the base it began with: what was gained, what was lost, what it cost."""

    task: str
    base: Score
    trained: Score
    trainable: int  # parameters
    megabytes: float  # of the adapter's file in 16 bits
    seconds: float

    def rows(self) -> list[tuple[str, str, str]]:
        """What a reader wants to see: (what, the base's, after training)."""
        before, after = self.base, self.trained
        return [
            ("held-out loss, nats", f"{before.loss:.2f}", f"{after.loss:.2f}"),
            ("answers that keep every rule", f"{before.kept:.0%}", f"{after.kept:.0%}"),
            ("perplexity on general text (forgetting)", f"{before.general:.1f}", f"{after.general:.1f}"),
            ("everyday answers in the task's form (format drift)", f"{before.drift:.0%}", f"{after.drift:.0%}"),
            ("trainable parameters", "", f"{self.trainable:,}"),
            ("adapter in 16 bits, MB", "", f"{self.megabytes:.1f}"),
            ("training, seconds", "", f"{self.seconds:.0f}"),
        ]

    @property
    def gain(self) -> float:
        """Nats per token that the held-out loss fell."""
        return self.base.loss - self.trained.loss

    @property
    def forgetting(self) -> float:
        """Perplexity on general text, after over before: 1 is nothing forgotten."""
        return self.trained.general / self.base.general


def scorecard(model: Any, task: str, base: Score, trained: Score, seconds: float) -> Scorecard:
    """The card of the adapter that `model` carries; `seconds` is what its training took."""
    numbers = sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)  # ours and PEFT's
    return Scorecard(task, base, trained, numbers, 2 * numbers / 1e6, seconds)


# ---- two models side by side ----


@torch.no_grad()
def answer_logits(model: Any, examples: Sequence[tasks.Encoded]) -> Tensor:
    """The logits from which each supervised token would be chosen: tokens × vocabulary, fp32, on the CPU.

    Raises ModelError when they hold NaN or infinity.
    """
    rows = []
    with _measuring(model):
        for one in examples:
            logits = model(**_inputs(tasks.collate([one], pad_id=0), model.device)).logits[0, :-1]
            rows.append(logits[one.labels[1:] != tasks.IGNORED].float().cpu())
            models.check_finite(model, rows[-1], "The logits")
    return torch.cat(rows)


def divergence(reference: Tensor, other: Tensor) -> float:
    """Mean KL(reference ‖ other) of next-token distributions, nats per token; both are logits, tokens × vocabulary."""
    p, q = (logits.double().log_softmax(-1) for logits in (reference, other))
    return float((p.exp() * (p - q)).sum(-1).mean())
