"""What a reward teaches: the base trained on a count of its own words, at two ranks and whole, at three seeds.

Beside it stands fine-tuning on written answers to the same questions, until as many of the model's own earn the reward:
at the same score, which has forgotten more? `COMMAND` records it, and lesson 17 replays it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

NAME = "lesson_17_rewards"
COMMAND = "python -m workshop record rewards"


class Arm(NamedTuple):
    """What is trained (B and A of rank r, or every weight), how fast, and on what."""

    name: str
    r: int | None
    rate: float
    written: bool = False  # on the pairs' chosen answers, not on a reward


# Every weight learns at a twentieth of LoRA's rate: lesson 03 says why.
REWARDED = (Arm("r = 1", 1, 1e-3), Arm("r = 8", 8, 1e-3), Arm("every weight", None, 5e-5))
WRITTEN = Arm("written answers, r = 8", 8, 1e-3, written=True)

Run = Mapping[str, Any]
