"""What a reward teaches: the base trained on a count of its own words, at two ranks and three seeds.

`python -m lora_lessons.experiments.rewards --record` writes data/measurements/lesson_17_rewards.json, one run after the
other, and goes on where it was stopped. The questions are those of the preference pairs; their answers are not used.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm.auto import tqdm

from .. import evaluation, lora, models, preferences, tasks, training
from . import recordings

NAME = "lesson_17_rewards"
RANKS, SEEDS = (1, 8), (0, 1, 2)
STEPS, QUESTIONS, GROUP, LONGEST = 40, 2, 8, 48
RATE = 1e-3
# questions of the held-out topics that are answered before and after, and everyday ones that no training touches
ASKED, EVERYDAY = 32, 8
COMMAND = "python -m lora_lessons.experiments.rewards --record"


def settings() -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {
        "what": "one point for an answer of at most 12 words that ends as a sentence does; greedy answers are judged",
        "steps": STEPS,
        "questions a step": QUESTIONS,
        "answers a question": GROUP,
        "tokens at most": LONGEST,
        "learning_rate": RATE,
        "asked": ASKED,
    }


def recorded() -> dict[str, Any] | None:
    """The recording that lesson 17 replays; None where nobody has made it. Raises ValueError where it is damaged."""
    try:
        return recordings.recorded(NAME)
    except FileNotFoundError:
        return None


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, and keep it after each."""
    kept = recorded() or {}
    runs = dict(kept["runs"]) if kept.get("settings") == settings() else {}
    for r, seed in itertools.product(RANKS, SEEDS):
        if (name := f"r={r}, seed {seed}") not in runs:
            runs[name] = one_run(r, seed)
            recordings.keep(NAME, {"settings": settings(), "runs": runs})
            print(name, {key: value for key, value in runs[name].items() if not isinstance(value, list)}, flush=True)
    return runs


def one_run(r: int, seed: int) -> dict[str, Any]:
    """Train the base on the reward: what each step earned, and what the model says and has forgotten before and after."""
    base = models.load(precision="fp32")
    pairs = tasks.load_pairs()
    how = training.Settings(
        steps=STEPS,
        batch_size=QUESTIONS,
        learning_rate=RATE,
        seed=seed,
        autocast=models.best_precision().name == "bf16",
    )
    asked = [pair["prompt"] for pair in pairs.held_out[:ASKED]]
    everyday = tasks.everyday_questions()[:EVERYDAY]
    said = models.answers(base, everyday, LONGEST)
    chats = [tasks.encode(base.tokenizer, _chat(*both)) for both in zip(everyday, said, strict=True)]
    before, logits = _state(base, asked), evaluation.answer_logits(base.model, chats)
    lora.attach(base.model, r, 2 * r, seed=seed)
    questions = [pair["prompt"] for pair in pairs.train]
    with tqdm(total=STEPS, desc=f"r = {r}, seed {seed}") as bar:

        def moved(run: training.Training) -> None:
            bar.set_postfix(reward=f"{run.losses[-1]:.2f}")
            bar.update()

        run = preferences.train_on_reward(base, questions, preferences.brief, how, GROUP, LONGEST, on_step=moved)
    found = {"r": r, "seed": seed, "trainable": lora.trainable_parameters(base.model)}
    return found | {
        "rewards": run.losses,
        "seconds": run.seconds,
        "kl": evaluation.divergence(logits, evaluation.answer_logits(base.model, chats)),
        "asked": asked,
        "before": before,
        "after": _state(base, asked),
    }


def _chat(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def _state(base: models.Base, asked: Sequence[str]) -> Mapping[str, Any]:
    """The model's greedy answers, the share of them that earn the reward with its 95% interval, and its perplexity."""
    answers = models.answers(base, asked, LONGEST)
    share = sum(map(preferences.brief, answers)) / len(answers)
    low, high = evaluation.interval(share, len(answers))
    words = sum(len(answer.split()) for answer in answers) / len(answers)
    general = evaluation.perplexity(base, tasks.general_text())
    return {"share": share, "low": low, "high": high, "words": words, "perplexity": general, "answers": answers}


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m lora_lessons.experiments.rewards: make the runs that are missing."""
    parser = argparse.ArgumentParser(prog="python -m lora_lessons.experiments.rewards")
    parser.add_argument("--record", action="store_true", help=f"write data/measurements/{NAME}.json, run by run")
    if not parser.parse_args(arguments).record:
        parser.error("this trains six times: say --record. What is recorded already is kept.")
    record()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
