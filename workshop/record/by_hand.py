"""Lesson 08 on a real 1.5B, run as a learner without a card runs it: what it was, held, took and came to.

`python -m workshop record by-hand` (under 20 minutes; 1.1 GB to fetch, once) writes
data/measurements/lesson_08_by_hand.json, which the lesson replays.
"""

from __future__ import annotations

from pathlib import Path

from lora_lessons.course.learner import newest_folder
from lora_lessons.experiments import recordings
from lora_lessons.lessons.l08_qlora_7b.what_fits import BY_HAND, STORY
from lora_lessons.paths import measurements
from lora_lessons.run import runner
from lora_lessons.run.result import OK

BASE = "qwen2.5-coder-1.5b"
REPORT = Path("course-report/by_hand")


def record(base: str = BASE, out: Path = REPORT) -> None:
    """Run the lesson on `base` into `out`, and keep its story with the seconds of the whole.

    Raises ValueError when the lesson failed; its report says why.
    """
    (lesson,) = runner.run(runner.find_lessons(["08"]), parameters={"model": base}, out=out, fresh=True)
    folder = newest_folder("adapters/lesson-08", out)
    if lesson.status != OK or folder is None:
        raise ValueError(f"lesson 08 on {base} did not come to its end: see {out}/report.html.")
    story = recordings.read(folder / STORY)
    recordings.write(measurements() / f"{BY_HAND}.json", story | {"seconds_whole": round(lesson.seconds)})
