"""The 7B on a processor, one unbroken run made now: data/measurements/seven_b_cpu.json."""

from __future__ import annotations

import json
import os

from lora_lessons.experiments import recordings, seven_b
from lora_lessons.paths import measurements


def record() -> None:
    """Train from the start, and keep what was measured."""
    os.environ["LORA_LESSONS_FRESH"] = "1"
    found = seven_b.train_seven_b()
    print(json.dumps(found, indent=1))
    recordings.write(measurements() / "seven_b_cpu.json", found)
