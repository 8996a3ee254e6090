"""Which learning rate does an adapter want? The same steps for all, and several rates for each.

`python -m workshop record rates TASK …` writes data/measurements/lesson_09_rates.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lora_lessons.experiments import recordings

RATES = {
    "persona": (4e-3, 2e-3),
    "strict_json": (1.5e-3, 3e-3, 6e-3),
    "plain_language": (1e-3, 2e-3, 4e-3),
    "code_style": (1e-3, 2e-3, 4e-3),
}
NAME = "lesson_09_rates"


def losses(found: dict[str, Any]) -> dict[str, dict[float, float]]:
    """Of each task, the loss that each rate ended at, by rate."""
    table: dict[str, dict[float, float]] = {}
    for row in found["rows"]:
        table.setdefault(row["task"], {})[row["rate"]] = row["loss"]
    return table


def record(names: Sequence[str], again: bool = False) -> dict[str, Any]:
    """Train each adapter at each rate; record the loss on held-out examples that no score uses.

    The rate is chosen on other examples than those that the scorecard is made of, so that choosing it cannot flatter
    the score. An adapter that lies in data/adapters, trained at one of the rates, is not trained `again`.
    """
    from lora_lessons import evaluation, lora, models, tasks
    from lora_lessons.adapter import load_adapter
    from lora_lessons.experiments.shipped_adapters import DRAWN, STEPS, shipped
    from workshop.record import shipped_adapters

    base = models.load(precision="fp32")
    what = f"loss (nats a token) after {STEPS} steps, on the held-out examples that no score uses"
    recording: dict[str, Any] = {"what": what, "steps": STEPS, "seed": 0, "rows": []}
    for name in names:
        task = tasks.load_task(name)
        scored = [example["id"] for example in evaluation.drawn(task, DRAWN)]
        others = [tasks.encode(base.tokenizer, e) for e in task.held_out if e["id"] not in scored]
        lies = None if again else shipped().get(name)
        for rate in RATES[name]:
            if lies and rate == shipped_adapters.RATE[name]:
                load_adapter(base.model, lies)
            else:
                shipped_adapters.learn(base, name, 0, rate)
            loss = evaluation.held_out_loss(base.model, others)
            lora.detach(base.model)
            recording["rows"].append({"task": name, "rate": rate, "loss": loss, "examples": len(others)})
            print(f"{name} at {rate:g}: {loss:.3f} nats", flush=True)
            recordings.keep(NAME, recording)
    return recording
