"""The adapters that ship with the course, trained and scored.

python -m workshop adapters                       train all four, score them, write adapters/ here
python -m workshop adapters --record              the same into the course's data/adapters/
python -m workshop adapters persona --out DIR     one of them, elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lora_lessons import evaluation, lora, mixing, models, tasks, training
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter, save_adapter
from lora_lessons.experiments import recordings
from lora_lessons.experiments.shipped_adapters import ABOUT, MADE, SCORED, STEPS, home
from lora_lessons.machine import stamp
from lora_lessons.sums import write_sums

R, ALPHA = 8, 16
# Every adapter gets the same steps. The persona's rate is the better of two that were tried (3.009 nats beside 3.017 at
# 4e-3, seed 0); of the others no trial is recorded.
RATE = {"persona": 2e-3, "plain_language": 2e-3, "code_style": 2e-3, "strict_json": 3e-3}


def settings(task: str, seed: int = 0) -> training.Settings:
    """How the course trains this task's adapter."""
    fast = models.best_precision().name == "bf16"
    return training.Settings(steps=STEPS, batch_size=4, learning_rate=RATE[task], seed=seed, autocast=fast)


def learn(base: models.Base, task: str, seed: int = 0) -> training.Training:
    """Attach r = 8, α = 16 to every linear layer of `base` and train it on the task; the adapter stays on."""
    examples = [tasks.encode(base.tokenizer, example) for example in tasks.load_task(task).train]
    lora.attach(base.model, r=R, lora_alpha=ALPHA, seed=seed)
    return training.train(base.model, examples, settings(task, seed))


def make(names: Sequence[str] = tuple(ABOUT), out: Path | None = None, seed: int = 0) -> list[evaluation.Scorecard]:
    """Train and score the adapters of `names`; write each to its folder in fp16, and `made.json` beside them.

    `out` defaults to data/adapters, where an adapter of that name is replaced and its checksum noted; elsewhere nothing
    is. Raises, before any work, ValueError for a task that is not one of ABOUT,
    FileExistsError where something is in the way.
    """
    if unknown := [name for name in names if name not in ABOUT]:
        raise ValueError(f"no adapter is named {unknown[0]!r}: choose from {', '.join(ABOUT)}.")
    ours = home()
    out = out or ours
    if out != ours and (there := [name for name in names if (out / name).exists()]):
        raise FileExistsError(f"{out / there[0]} exists: choose another --out, or move it away.")
    file = out / MADE
    made = recordings.read(file)["adapters"] if file.is_file() else {}
    base, cards = models.load(precision="fp32"), []
    for name in names:
        print(f"{name}: {ABOUT[name]}", flush=True)
        task = tasks.load_task(name)
        before = evaluation.score(base, task, SCORED)
        seconds = learn(base, name, seed).seconds
        save_adapter(base.model, out / name, base.name, dtype=torch.float16, overwrite=out == ours)
        if out == ours:
            write_sums(out, [f"{name}/{file}" for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)])
        lora.detach(base.model)
        adapter = read_adapter(out / name)  # scored as it will be read
        with mixing.attached(base.model, adapter):
            after = evaluation.score(base, task, SCORED)
            card = evaluation.scorecard(base.model, name, before, after, seconds)
        cards.append(card)
        made[name] = {
            "base": before._asdict(),
            "trained": after._asdict(),
            "scored": SCORED,
            "trainable": card.trainable,
            "megabytes": card.megabytes,
            "seconds": round(seconds, 1),
            "steps": STEPS,
            "rate": RATE[name],
            "seed": seed,
        }
        loss, kept = f"{before.loss:.2f} → {after.loss:.2f}", f"{before.kept:.0%} → {after.kept:.0%}"
        print(f"    held-out loss {loss}, rules kept {kept}")
        recordings.write(file, {"adapters": made} | stamp())
    return cards
