"""The bare base, helped by each prompt, on every task; and an answer of each adapter to look at.

`python -m workshop record prompts` writes data/measurements/lesson_09_prompts.json.
"""

from __future__ import annotations

from typing import Any

from lora_lessons import mixing, models, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import recordings, shipped_adapters
from lora_lessons.experiments.prompting import NAME, RULES, WAYS, Sample, prompted


def sampled(base: models.Base, name: str) -> Sample:
    """The first held-out question of the task, answered by the base and by the base with its shipped adapter."""
    question = tasks.load_task(name).held_out[0]["messages"][-2]["content"]
    answers = []
    for adapter in (None, read_adapter(shipped_adapters.shipped()[name])):
        with mixing.attached(base.model, adapter):
            answers.append(models.chat(base, question, 80))
    return Sample(question, *answers)


def record() -> dict[str, Any]:
    """Ask the base with each prompt, and each adapter for a sample."""
    base, by_task = models.load(precision="fp32"), {}
    for name in RULES:
        kept = {way: prompted(base, name, way, shipped_adapters.SCORED) for way in WAYS}
        by_task[name] = kept | {"of": shipped_adapters.SCORED, "sample": sampled(base, name)._asdict()}
        print(f"{name}: {kept}", flush=True)
    what = "share of held-out answers that keep every rule of the task, the bare base helped by a prompt"
    recordings.keep(NAME, {"what": what, "tasks": by_task})
    return by_task
