"""What quantizing every matrix costs: perplexity under plain rounding, GPTQ and AWQ, over seeds.

`python -m lora_lessons.experiments.quantized_perplexity --record` writes data/measurements/lesson_11_rounding.json.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from . import recordings

if TYPE_CHECKING:
    from torch import Tensor

    from ..models import Base
    from ..quant.gptq import Rounded

# Tasks whose training texts are read; perplexity is measured on tasks.general_text(), which is none of them.
CALIBRATE_ON = ("persona", "plain_language")
# How each method is called, by the name that the recording and the lesson use.
METHODS: dict[str, dict[str, Any]] = {
    "rtn": {"method": "rtn"},
    "gptq": {"method": "gptq", "by_activation": True},
    "awq": {"method": "awq"},
}
# int4, with lesson 06's marks −7 … 7.
GRID: dict[str, Any] = {"bits": 4, "symmetric": True}


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


def recorded(name: str = "lesson_11_rounding") -> dict[str, Any]:
    """A recording that lesson 11 quotes. Raises FileNotFoundError when the checkout lacks it."""
    return recordings.recorded(name)


def record(seeds: Sequence[int], windows: int, group: int = 64) -> None:
    """Round the whole base by each method, for each seed; keep the loss on each passage."""
    from .. import lora, models
    from ..quant import blockwise

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
        recordings.keep("lesson_11_rounding", recording)


def _perplexity(losses: Sequence[float]) -> float:
    return math.exp(sum(losses) / len(losses))


def bits_per_weight(made: Mapping[str, Rounded]) -> float:
    """Bits that a weight takes, over all the matrices."""
    weights = {name: one.codes.numel() for name, one in made.items()}
    return sum(one.bits_per_weight * weights[name] for name, one in made.items()) / sum(weights.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """python -m lora_lessons.experiments.quantized_perplexity: record it anew."""
    parser = argparse.ArgumentParser(prog="python -m lora_lessons.experiments.quantized_perplexity")
    parser.add_argument("--record", action="store_true", help="write data/measurements/lesson_11_rounding.json")
    parser.add_argument("--seeds", type=int, default=3, help="calibration seeds (default: 3)")
    parser.add_argument("--windows", type=int, default=8, help="calibration windows of 256 tokens (default: 8)")
    options = parser.parse_args(arguments)
    if not options.record:
        parser.error("this takes a while and replaces the recording: say --record")
    record(range(options.seeds), options.windows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
