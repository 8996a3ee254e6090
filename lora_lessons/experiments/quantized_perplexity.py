"""What quantizing every matrix costs: perplexity under plain rounding, GPTQ and AWQ, over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from . import recordings

if TYPE_CHECKING:
    from torch import Tensor

    from ..models import Base

# Tasks whose training texts are read; perplexity is measured on tasks.general_text(), which is none of them.
CALIBRATE_ON = ("persona", "plain_language")
# How each method is called, by the name that the recording and the lesson use.
METHODS: dict[str, dict[str, Any]] = {
    "rtn": {"method": "rtn"},
    "gptq": {"method": "gptq", "by_activation": True},
    "awq": {"method": "awq"},
}


def calibration(base: Base, seed: int = 0, windows: int = 8, length: int = 256) -> list[Tensor]:
    """Windows of `length` tokens, drawn by `seed` from the tasks' training texts, four to a batch (4×length)."""
    import torch

    from .. import tasks

    examples = [example for name in CALIBRATE_ON for example in tasks.load_task(name).train]
    text = "\n\n".join(message["content"] for example in examples for message in example["messages"])
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"][0]
    starts = torch.randint(len(ids) - length, (windows,), generator=torch.Generator().manual_seed(seed))
    return list(torch.stack([ids[start : start + length] for start in starts.tolist()]).split(4))


def losses(base: Base) -> list[float]:
    """The loss on each passage of the general text, in nats a token."""
    from .. import evaluation, tasks

    return [math.log(evaluation.perplexity(base, passage)) for passage in tasks.general_text().split("\n\n")]


def recorded(name: str = "lesson_10_rounding") -> dict[str, Any]:
    """A recording that the side trip to GPTQ and AWQ quotes. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(name)
