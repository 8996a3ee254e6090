"""What lesson 11 asks of its recordings: losses passage by passage, and rulers that differ in one thing at a time.

And one layer rounded three ways at the same bits: how far its outputs are off on text that GPTQ and AWQ did not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from torch import Tensor

from ...experiments import sweep
from ...quant.gptq import Inputs, awq, gptq, output_error, round_to_nearest

Table = Mapping[str, Any]


def _by_draw(table: Table, method: str, bits: int) -> list[list[float]]:
    """Losses of each passage, for each draw of calibration text."""
    return [row["losses"] for row in table["rows"] if (row["method"], row["bits"]) == (method, bits)]


def losses(table: Table, method: str, bits: int) -> list[float]:
    """The loss on each passage, the mean over the draws of calibration text. `method` is rtn, gptq or awq."""
    return [fmean(one) for one in zip(*_by_draw(table, method, bits), strict=True)]


def gaps(table: Table, bits: int) -> dict[str, list[float]]:
    """What one method loses more than another, passage by passage: what they share of a passage's luck cancels."""
    nearest, gptq, awq = (losses(table, method, bits) for method in ("rtn", "gptq", "awq"))
    pairs = {"GPTQ minus nearest": (gptq, nearest), "AWQ minus nearest": (awq, nearest), "GPTQ minus AWQ": (gptq, awq)}
    return {name: [a - b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def lost(table: Table, bits: int, method: str = "rtn") -> float:
    """Nats a token that a way of rounding, by default to nearest, loses against the intact base."""
    return fmean(losses(table, method, bits)) - fmean(table["intact"])


def every_draw_wins(table: Table, method: str, bits: int) -> bool:
    """Whether each single draw of calibration text gives a lower mean loss than rounding to nearest."""
    nearest = fmean(losses(table, "rtn", bits))
    return all(fmean(one) < nearest for one in _by_draw(table, method, bits))


def apart(values: Sequence[float]) -> bool:
    """Whether the 95% interval of their mean leaves out zero."""
    one = sweep.summary(list(values))
    return one.low > 0 or one.high < 0


def of_rulers(table: Table) -> dict[str, list[float]]:
    """{ruler: nats a token above the intact base, passage by passage}, from `experiments.rulers`."""
    return {
        row["ruler"]: [after - before for after, before in zip(row["losses"], table["intact"], strict=True)]
        for row in table["rows"]
    }


def three_ways(weight: Tensor, read: Inputs, unread: Inputs) -> dict[str, float]:
    """Relative errors of the layer's outputs by way of rounding; GPTQ's also on the text that it was calibrated on."""
    loudest_first = gptq(weight, read.H, by_activation=True).dequantize()
    made = {
        "to nearest": round_to_nearest(weight).dequantize(),
        "AWQ": awq(weight, read).dequantize(),
        "GPTQ": loudest_first,
    }
    errors = {way: output_error(weight, rounded, unread.H) for way, rounded in made.items()}
    return errors | {"GPTQ, same text": output_error(weight, loudest_first, read.H)}
