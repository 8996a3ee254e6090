"""Twenty lines in one frame: how many different answers a base gives, at each look, by rate, steps and size.

`python -m workshop record framed` writes data/measurements/lesson_11_framed.json, run by run, and goes on where it was
stopped. The files of data/own/framed/ were written by people who had not seen lesson 11's code.
"""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import Any

from lora_lessons.paths import course_root
from lora_lessons.tasks.jsonl import said
from lora_tools.own import learning, my_data, scoring
from workshop.record.runs import Runs

NAME = "lesson_11_framed"
FILES = ("florist", "coach", "guide")
# How each way trains: the base, steps, rate (0: lesson 11's own), and on which files.
WAYS: dict[str, tuple[str, int, float, tuple[str, ...]]] = {
    "usual": ("embedded", 0, 0, FILES),
    "slow": ("embedded", 0, 1e-3, FILES),
    "long": ("embedded", 60, 0, FILES[:1]),
    "long_and_slow": ("embedded", 60, 1e-3, FILES[:1]),
    "half_a_billion": ("qwen2.5-coder-0.5b", 0, 0, FILES[:1]),
    "one_and_a_half": ("qwen2.5-coder-1.5b", 0, 0, FILES[:1]),
}


def record() -> dict[str, Any]:
    """Make every run that the recording lacks, the small base's first."""
    runs = Runs(NAME, {"seed": 0})
    for way, (base, steps, rate, files) in WAYS.items():
        for file in files:
            runs.make(f"{file}_{way}", partial(one_run, base, file, steps, rate))
    return runs.made


def one_run(name: str, file: str, steps: int, rate: float) -> dict[str, Any]:
    """Train as lesson 11 does; at each look the held-out loss, the answers and how many of them differ,
    and which look is kept."""
    base, fast = my_data.load(name, "")
    place = course_root() / "data" / "own" / "framed" / f"{file}.jsonl"
    data = my_data.read(place, base.tokenizer, my_data.most("quick"))
    how = my_data.settings(base, len(data.train), "quick", 0, fast, steps, rate)
    my_data.attach(base.model, 0)
    lesson = learning.of(base.model, data, how, my_data.COURSES)
    hear, frame = scoring.hearing(base, data)
    before = fmean(lesson.look())
    keep = scoring.KeepBest(base.model, lesson.look, lesson.kept_in(), hear, frame)
    lesson.train(on_step=keep)
    looks = [
        {"step": step, "loss": fmean(keep.looks[step]), "answers": given, "different": len(set(given))}
        for step, given in keep.heard.items()
    ]
    file_says = [said(one["messages"][-1]) for one in scoring.asked(data)]
    about = {
        "base": name,
        "steps": how.steps,
        "learning_rate": how.learning_rate,
        "lines": len(data.train),
        "before": before,
    }
    kept = len(set(keep.heard[keep.best]))
    return about | {"kept": keep.best, "different": kept, "looks": looks, "file": file_says}
