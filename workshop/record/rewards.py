"""The base trained on a reward, or on written answers to the same questions until as many of its own earn the reward.

`python -m workshop record rewards` writes data/measurements/lesson_13_rewards.json, run by run,
and goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

from lora_lessons import evaluation, lora, models, preferences, tasks, training
from lora_lessons.training.loop import trainable, training_steps
from lora_lessons.training.settings import make_optimizer, parameter_groups
from workshop.record.runs import Runs

NAME = "lesson_13_rewards"


class Arm(NamedTuple):
    """What is trained (B and A of rank r, or every weight), how fast, and on what."""

    name: str
    r: int | None
    rate: float
    written: bool = False  # on the pairs' chosen answers, not on a reward


# Every weight learns at a twentieth of LoRA's rate: lesson 03 says why.
REWARDED = (Arm("r = 1", 1, 1e-3), Arm("r = 8", 8, 1e-3), Arm("every weight", None, 5e-5))
WRITTEN = Arm("written answers, r = 8", 8, 1e-3, written=True)
SEEDS = (0, 1, 2)
STEPS, QUESTIONS, GROUP, LONGEST = 24, 2, 8, 48
# the same for every rank: lesson 05 says why
LORA_ALPHA = 16
# questions of the held-out topics that are answered before and after, and everyday ones that no training touches
ASKED, EVERYDAY = 32, 8
# fine-tuning on written answers is asked for its score after every so many steps
LOOK = 2


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": "one point for an answer of at most 12 words that ends as a sentence does; greedy answers are judged",
        "lora_alpha": LORA_ALPHA,
        "steps": STEPS,
        "questions a step": QUESTIONS,
        "answers a question": GROUP,
        "tokens at most": LONGEST,
        "rates": {arm.name: arm.rate for arm in (*REWARDED, WRITTEN)},
        "asked": ASKED,
    }


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each."""
    runs = Runs(NAME, settings())
    for seed in SEEDS:
        for arm in REWARDED:
            runs.make(f"{arm.name}, seed {seed}", partial(one_run, arm, seed))
        goal = runs.made[f"{REWARDED[1].name}, seed {seed}"]["after"]["share"]
        runs.make(f"{WRITTEN.name}, seed {seed}", partial(one_run, WRITTEN, seed, goal))
    return runs.made


def one_run(arm: Arm, seed: int, goal: float = 0.0) -> dict[str, Any]:
    """Train the base one way: what each step earned (or lost), and what the model says and has forgotten.

    A training on written answers stops where the share of answers that earn the reward is at least `goal`.
    """
    base, pairs = models.load(precision="fp32"), tasks.load_pairs()
    how = training.Settings(
        steps=STEPS,
        batch_size=QUESTIONS * GROUP if arm.written else QUESTIONS,
        learning_rate=arm.rate,
        seed=seed,
        autocast=models.best_precision().name == "bf16",
    )
    asked = [pair["prompt"] for pair in pairs.held_out[:ASKED]]
    before = _state(base, asked)
    kept = {"everyday": _far_from(base, tasks.everyday_questions()[:EVERYDAY]), "asked": _far_from(base, asked)}
    base.model.requires_grad_(arm.r is None)
    if arm.r is not None:
        lora.attach(base.model, arm.r, LORA_ALPHA, seed=seed)
    with tqdm(total=STEPS, desc=f"{arm.name}, seed {seed}") as bar:

        def moved(run: training.Training) -> None:
            bar.set_postfix(now=f"{run.losses[-1]:.2f}")
            bar.update()

        if arm.written:
            run = _on_written(base, pairs.train, how, lambda: _earning(base, asked)[0] >= goal, moved)
        else:
            questions = [pair["prompt"] for pair in pairs.train]
            run = preferences.train_on_reward(base, questions, preferences.brief, how, GROUP, LONGEST, on_step=moved)
    return {
        "arm": arm.name,
        "written": arm.written,
        "seed": seed,
        "trained": sum(p.numel() for p in base.model.parameters() if p.requires_grad),
        "steps": run.losses,
        "seconds": run.seconds,
        "kl": {name: far() for name, far in kept.items()},
        "asked": asked,
        "before": before,
        "after": _state(base, asked),
    }


def _on_written(
    base: models.Base,
    pairs: Sequence[Mapping[str, Any]],
    how: training.Settings,
    enough: Callable[[], bool],
    on_step: Callable[[training.Training], None],
) -> training.Training:
    """Fine-tune on the chosen answers until it is `enough`, or the steps are over."""
    examples = [tasks.encode_pair(base.tokenizer, dict(pair)).chosen for pair in pairs]
    optimizer = make_optimizer("adamw", parameter_groups(trainable(base.model), how.lr_ratio), how.learning_rate)
    unscaled = torch.amp.GradScaler(base.model.device.type, enabled=False)
    run = training.Training(steps=how.steps)
    for step in training_steps(base.model, examples, how, optimizer, unscaled):
        run.add(step.loss, step.tokens, step.supervised, 0.0)
        on_step(run)
        if (step.number + 1) % LOOK == 0 and enough():
            break
    return run


def _far_from(base: models.Base, questions: Sequence[str]) -> Callable[[], float]:
    """How far the model has moved since now: mean KL to what it is now, in nats a token of its own answers of now."""
    said = models.answers(base, questions, LONGEST)
    chats = [tasks.encode(base.tokenizer, tasks.as_chat(*both)) for both in zip(questions, said, strict=True)]
    logits: Tensor = evaluation.answer_logits(base.model, chats)
    return lambda: evaluation.divergence(logits, evaluation.answer_logits(base.model, chats))


def _earning(base: models.Base, asked: Sequence[str]) -> tuple[float, list[str]]:
    """The share of the model's greedy answers that earn the reward, and the answers."""
    answers = models.answers(base, asked, LONGEST)
    return sum(map(preferences.brief, answers)) / len(answers), answers


def _state(base: models.Base, asked: Sequence[str]) -> dict[str, Any]:
    """What the model says: the share that earns the reward with its 95% interval, words; and its perplexity."""
    share, answers = _earning(base, asked)
    low, high = evaluation.interval(share, len(answers))
    words = sum(len(answer.split()) for answer in answers) / len(answers)
    general = evaluation.perplexity(base, tasks.general_text())
    return {"share": share, "low": low, "high": high, "words": words, "perplexity": general, "answers": answers}
