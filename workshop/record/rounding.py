"""The whole base rounded by each method, over seeds: the loss on each passage of the general text.

`python -m workshop record rounding` writes data/measurements/lesson_10_rounding.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from lora_lessons.experiments import recordings
from lora_lessons.experiments.quantized_perplexity import CALIBRATE_ON, METHODS, calibration, losses

if TYPE_CHECKING:
    from lora_lessons.quant.gptq import Rounded

# int4, with lesson 06's marks −7 … 7.
GRID: dict[str, Any] = {"bits": 4, "symmetric": True}


def record(seeds: Sequence[int] = range(3), windows: int = 8, group: int = 64) -> None:
    """Round the whole base by each method, for each seed; keep the loss on each passage."""
    from lora_lessons import lora, models
    from lora_lessons.quant import blockwise

    base = models.load(precision="fp32")
    names = lora.resolve_targets(base.model, "all-linear")
    recording: dict[str, Any] = {
        "what": f"losses (nats a token) on the passages of the general text, all 210 matrices rounded, group {group}",
        "grid": GRID,
        "calibrated_on": list(CALIBRATE_ON),
        "windows": windows,
        "intact": losses(base),
        "rows": [],
    }
    print(f"intact: perplexity {_perplexity(recording['intact']):.2f}", flush=True)
    for seed, (name, how) in product(seeds, METHODS.items()):
        if name == "rtn" and seed != seeds[0]:
            continue  # it does not look at the calibration text
        begun = time.perf_counter()
        with blockwise.restored(base.model, names):
            read = calibration(base, seed, windows)
            made = blockwise.quantize_model(base.model, names, batches=read, group=group, **GRID, **how)
            seconds = round(time.perf_counter() - begun, 1)
            row = {"method": name, "seed": seed, "bits_per_weight": bits_per_weight(made)}
            recording["rows"].append(row | {"losses": losses(base)})
        after = _perplexity(recording["rows"][-1]["losses"])
        print(f"{name}, seed {seed}: perplexity {after:.2f} ({seconds} s to round)", flush=True)
        recordings.keep("lesson_10_rounding", recording)


def _perplexity(losses: Sequence[float]) -> float:
    return math.exp(sum(losses) / len(losses))


def bits_per_weight(made: Mapping[str, Rounded]) -> float:
    """Bits that a weight takes, over all the matrices."""
    weights = {name: one.codes.numel() for name, one in made.items()}
    return sum(one.bits_per_weight * weights[name] for name, one in made.items()) / sum(weights.values())
