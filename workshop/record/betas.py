"""DPO on the course's pairs at five values of β: what each preferred, said and forgot.

`python -m workshop record betas` writes data/measurements/lesson_13_betas.json, run by run, and goes on where it was
stopped. Beside it stands one run with the smallest β at a tenth of the rate, data/measurements/lesson_13_slow.json.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tqdm.auto import tqdm

from lora_lessons import evaluation, lora, models, preferences, tasks, training
from workshop.record.runs import Runs

NAME, SLOW = "lesson_13_betas", "lesson_13_slow"
BETAS = (0.01, 0.03, 0.1, 0.3, 1.0)
SEEDS = (0, 1, 2)
R, STEPS, BATCH, RATE = 8, 24, 4, 1e-3
ASKED, LONGEST = 16, 60


def settings(rate: float = RATE) -> dict[str, Any]:
    """What every run has in common; a recording that says otherwise is begun anew."""
    return {"r": R, "lora_alpha": 2 * R, "steps": STEPS, "batch_size": BATCH, "learning_rate": rate, "asked": ASKED}


def run_name(beta: float, seed: int) -> str:
    """What a run is called in the recording."""
    return f"β = {beta:g}, seed {seed}"


def record() -> dict[str, Any]:
    """Make every run that the recordings lack, and keep it after each; all values of β come before a second seed."""
    slow = partial(one_run, min(BETAS), SEEDS[0], RATE / 10)
    Runs(SLOW, settings(RATE / 10)).make("smallest", slow)
    runs = Runs(NAME, settings())
    for seed in SEEDS:
        for beta in BETAS:
            runs.make(run_name(beta, seed), partial(one_run, beta, seed))
    return runs.made


def one_run(beta: float, seed: int, rate: float = RATE) -> dict[str, Any]:
    """DPO with this β: losses, accuracy on held-out pairs, what both answers moved by,
    and the model before and after."""
    base, pairs = models.load(precision="fp32"), tasks.load_pairs()
    fast = models.best_precision().name == "bf16"
    how = training.Settings(steps=STEPS, batch_size=BATCH, learning_rate=rate, seed=seed, autocast=fast)
    train_set, held_out = (
        [tasks.encode_pair(base.tokenizer, pair) for pair in part] for part in (pairs.train, pairs.held_out)
    )
    asked = [pair["prompt"] for pair in pairs.held_out[:ASKED]]
    reference = [preferences.scored(base.model, part, fast) for part in (train_set, held_out)]
    before = _state(base, asked)
    lora.attach(base.model, R, 2 * R, seed=seed)
    with tqdm(total=STEPS, desc=run_name(beta, seed)) as bar:
        run = preferences.train_dpo(base.model, train_set, reference[0], how, beta, on_step=lambda run: bar.update())
    policy = preferences.scored(base.model, held_out, fast)
    margins = preferences.margins(policy, reference[1])
    chosen, rejected = (float((now - was).mean()) for now, was in zip(policy, reference[1], strict=True))
    return {
        "beta": beta,
        "seed": seed,
        "losses": run.losses,
        "accuracy": float((margins > 0).float().mean()),
        "margin": float(margins.mean()),
        "chosen": chosen,
        "rejected": rejected,
        "asked": asked,
        "before": before,
        "after": _state(base, asked),
    }


def _state(base: models.Base, asked: list[str]) -> dict[str, Any]:
    """The model's greedy answers, their words on average, and its perplexity on text of no task."""
    answers = models.answers(base, asked, LONGEST, batch_size=8)
    words = sum(len(answer.split()) for answer in answers) / len(answers)
    return {"words": words, "perplexity": evaluation.perplexity(base, tasks.general_text()), "answers": answers}
