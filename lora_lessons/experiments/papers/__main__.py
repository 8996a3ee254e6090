"""`python -m lora_lessons.experiments.papers --record`: make the runs that a base's recording lacks."""

from __future__ import annotations

import argparse

from ...models import EMBEDDED
from ..sizes.cells import SIZES
from .recording import record, record_reaches

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m lora_lessons.experiments.papers")
    parser.add_argument("--record", action="store_true", required=True, help="hours; killed, the same command goes on")
    parser.add_argument("--size", choices=SIZES, default=EMBEDDED, help="a larger base is asked a short list, one seed")
    parser.add_argument("--reaches", action="store_true", help="only how strong updates are beside W; minutes")
    asked = parser.parse_args()
    record_reaches() if asked.reaches else record(SIZES[asked.size])
