"""`python -m workshop record quantize`: how fast NF4 is written and read: ours and bitsandbytes' in one run,
and their ratio."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from functools import partial
from typing import Any

from lora_lessons.machine import kernel_environment, machine


def record(numbers: int = 58_720_256, rounds: int = 3) -> dict[str, dict[str, float]]:
    """Time NF4 there and back on one MLP weight of a 7B in bf16, ours and bitsandbytes' in turn.

    Prints both and their ratio. Returns {what: {"ours", "bitsandbytes": seconds,
    and for the peak bytes beyond the weight}}.
    """
    medians: dict[str, dict[str, float]] = {}
    sides = ("ours", "bitsandbytes")
    rows = [{side: _in_a_process(side, numbers) for side in sides} for _ in range(rounds)]
    print(
        f"{machine()}; {numbers:,} weights in bf16, NF4 in blocks of 64 with double quantization; medians of {rounds}"
    )
    print(f"{'':<22}{'ours':>10}{'bitsandbytes':>14}{'ratio':>8}")
    for what, unit, scale in (("quantize", "s", 1), ("dequantize", "s", 1), ("peak", "MB", 1e6)):
        medians[what] = {side: statistics.median(row[side][what] for row in rows) for side in sides}
        ours, theirs = (medians[what][side] / scale for side in sides)
        print(f"{what + ', ' + unit:<22}{ours:>10.2f}{theirs:>14.2f}{ours / theirs:>8.2f}")
    return medians


def _in_a_process(side: str, numbers: int) -> dict[str, float]:
    """One side, by this very module as a program, so that its peak memory is its own."""
    command = [sys.executable, "-m", __name__, side, str(numbers)]
    done = subprocess.run(command, capture_output=True, text=True, env=kernel_environment(), check=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return row


def one_quantize(side: str, numbers: int) -> dict[str, float]:
    """Seconds of quantizing and dequantizing, best of three; bytes by which the first raised the peak memory."""
    import torch
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    from lora_lessons import quant
    from lora_lessons.machine import peak_bytes

    W = torch.empty(numbers // 4096, 4096, dtype=torch.bfloat16)  # filled in place: no fp32 copy before the measurement
    W.normal_(generator=torch.Generator().manual_seed(0))
    ways: dict[str, tuple[Any, Any]] = {
        "ours": (partial(quant.quantize, W, double=True), quant.dequantize),
        "bitsandbytes": (
            partial(quantize_4bit, W, quant_type="nf4", compress_statistics=True),
            lambda q: dequantize_4bit(*q),
        ),
    }
    there, back = ways[side]
    before = peak_bytes()
    there()
    measured, times = {"peak": float(peak_bytes() - before)}, []
    for _ in range(3):
        marks = [time.perf_counter()]
        packed = there()
        marks.append(time.perf_counter())
        back(packed)
        marks.append(time.perf_counter())
        times.append((marks[1] - marks[0], marks[2] - marks[1]))
    return measured | {"quantize": min(t for t, _ in times), "dequantize": min(t for _, t in times)}


if __name__ == "__main__":
    print(json.dumps(one_quantize(sys.argv[1], int(sys.argv[2]))))
