"""What the mixer of lesson 09 answers at several scales: a page on which no model runs plays it.

`python -m workshop record mixer` writes data/measurements/lesson_09_mixer.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

from lora_lessons import mixing, models, tasks
from lora_lessons.adapter import Adapter, read_adapter
from lora_lessons.experiments import recordings, shipped_adapters
from lora_lessons.experiments.mixer_answers import COMMON, NAME, recorded

ALONE = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # an adapter's scales at its own question
COMBINED = (0.5, 1.0)  # the scales of a pair
TOKENS = 60  # of an answer at most


class Asked(NamedTuple):
    """A question, and the adapters that answer it with their scales."""

    question: str
    parts: dict[str, float]


def own_question(name: str) -> str:
    """The first held-out question of a task, which its adapter is asked."""
    return str(tasks.load_task(name).held_out[0]["messages"][-2]["content"])


def everything(names: Sequence[str]) -> Iterator[Asked]:
    """What is asked: each adapter its own question at ALONE; the common one, each alone and each pair at COMBINED."""
    for name in names:
        yield from (Asked(own_question(name), {name: scale}) for scale in ALONE)
    yield Asked(COMMON, {})
    for name in names:
        yield from (Asked(COMMON, {name: scale}) for scale in COMBINED)
    for pair in combinations(names, 2):
        yield from (Asked(COMMON, dict(zip(pair, scales, strict=True))) for scales in product(COMBINED, COMBINED))


def answer(base: models.Base, known: Mapping[str, Adapter], asked: Asked, tokens: int = TOKENS) -> str:
    """The greedy answer of `base` with the weighted sum of the adapters that `asked` names."""
    parts = [(known[name], scale) for name, scale in asked.parts.items() if scale]
    with mixing.attached(base.model, mixing.weighted_sum(parts) if parts else None):
        return models.chat(base, asked.question, tokens)


def record() -> dict[str, Any]:
    """Ask everything once: the base each question, and each mixture."""
    base = models.load(precision="fp32")
    known = {name: read_adapter(folder) for name, folder in shipped_adapters.shipped().items()}
    plain: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for asked in everything(list(known)):
        if asked.question not in plain:
            plain[asked.question] = answer(base, known, Asked(asked.question, {}))
        mixed = answer(base, known, asked) if any(asked.parts.values()) else plain[asked.question]
        rows.append({**asked._asdict(), "answer": mixed})
        print(f"{asked.parts}: {mixed[:80]!r}", flush=True)
    about = {"what": "greedy answers of adapters at several scales, alone and in pairs", "tokens": TOKENS}
    recordings.keep(NAME, about | {"base": plain, "rows": rows})
    return recorded()
