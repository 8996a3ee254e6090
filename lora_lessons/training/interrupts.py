"""What to say when a training is stopped by hand, which happens between two steps."""

from __future__ import annotations

from ..errors import Interrupted as Interrupted


def stopped(done: int, kept: int) -> str:
    """What to say when training is stopped after `done` steps, of which the checkpoint has `kept`."""
    if kept == 0:
        return f"Stopped after step {done}; run this cell again to start from the beginning."
    step = "" if kept == done else f" from step {kept}"
    return f"Stopped after step {done}; run this cell again to go on{step}."


def finished() -> str:
    """What to say when training was asked to stop during its last step."""
    return "Stopped after the last step, so this training is finished and kept; run this cell again to go on."
