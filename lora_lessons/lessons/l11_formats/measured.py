"""What lesson 11 measures and records: Q4_0 by hand, files of every format. And for its side trip, GPTQ's and AWQ's
marks: one layer rounded in three ways, judged on text that none of them read,
and the recorded losses of the whole model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from ...course import record
from ...experiments import quantized_perplexity, sweep
from ...models import Base
from ...quant.blockwise import restored
from ...quant.gptq import Inputs, awq, gptq, output_error, round_to_nearest

Table = Mapping[str, Any]


# ---- Q4_0 by hand ----


def q4_0(W: Tensor) -> Tensor:
    """W as llama.cpp's Q4_0 keeps it, up to 16 bits of its step: marks −8 … 7 in blocks of 32,
    the largest weight on −8."""
    blocks = W.reshape(-1, 32)
    step = blocks.gather(1, blocks.abs().argmax(1, keepdim=True)) / -8
    step = step.where(step != 0, torch.ones_like(step))  # a block of zeros
    return ((blocks / step).round().clamp(-8, 7) * step).view_as(W)


def by_llama_cpp(W: Tensor) -> Tensor:
    """W in Q4_0 and back, by llama.cpp's own Python package."""
    import gguf

    kind = gguf.GGMLQuantizationType.Q4_0
    back = gguf.quants.dequantize(gguf.quants.quantize(W.detach().numpy(), kind), kind)
    return torch.from_numpy(back.copy())


def same_marks(one: Tensor, other: Tensor) -> float:
    """The share of weights that both put on one mark: closer than half a step of their block (32 weights)."""
    step = other.reshape(-1, 32).abs().amax(1, keepdim=True) / 8
    return float(((one - other).reshape(-1, 32).abs() < step / 2).float().mean())


@torch.no_grad()
def rise(base: Base, names: Iterable[str], rounded: Callable[[Tensor], Tensor]) -> float:
    """How many times as large the perplexity of plain English is once every named weight is
    what `rounded` makes of it."""
    names = list(names)
    before = fmean(quantized_perplexity.losses(base))
    with restored(base.model, names):
        for name in names:
            weight = base.model.get_submodule(name).weight
            weight.copy_(rounded(weight))
        return math.exp(fmean(quantized_perplexity.losses(base)) - before)


# ---- files ----


def record_types(kl: Mapping[str, Tensor]) -> None:
    """Record each GGUF type's KL, and whether the importance matrix helped Q4_0, context by context."""
    for name in kl:
        key = name.lower().replace(" + importance", "_imatrix")
        record(f"gguf.{key}_kl", kl[name].mean(), "nats, KL from F16, mean of 512 tokens")
    helped = sweep.summary((kl["Q4_0 + importance"] - kl["Q4_0"]).tolist())
    record("gguf.q4_0_imatrix_helps", helped.high < 0)


def record_formats(rows: Mapping[str, Mapping[str, Any]], above: Mapping[str, float]) -> None:
    """Record what was written and loaded back, and what each file of about 4 bits costs; `above` is by file."""
    record("formats.loaded", len({name.split("-")[0] for name in above}), "formats loaded back")
    record("formats.files", len(above), "files written, loaded back and measured")
    record("formats.exl2", rows["exl2"]["status"])
    for name in ("gguf-q4_k_m", "gguf-q4_0", "gptq", "awq", "hqq"):
        record(f"formats.{name.replace('-', '_')}", above[name], "rise of the perplexity over 16 bits")
    for name in ("gguf-q4_k_m", "gguf-q4_0", "gptq"):
        record(f"formats.{name.replace('-', '_')}_bits", rows[name]["bits_in_layers"], "bits per weight in the layers")


# ---- the side trip: one layer ----


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


def record_hand(W: Tensor, ways: Mapping[str, Tensor], unread: Inputs) -> None:
    """Record how far each way's weights are off, and the layer's outputs on the other text."""
    for name, rounded in ways.items():
        record(f"weights.{name}", (W - rounded).norm() / W.norm(), "relative error of the weights")
        record(f"outputs.{name}", output_error(W, rounded, unread.H), "of the outputs, on the other text")


def record_layers(errors: Mapping[str, Mapping[str, float]]) -> None:
    """Record what each way costs the layer that GPTQ helps most, and the one that it does not help."""
    keys = {"to nearest": "rtn", "GPTQ": "gptq", "GPTQ, same text": "by_heart"}
    for way, key in keys.items():
        record(f"q_proj.{key}", errors["q_proj"][way], "of q_proj's outputs")
        record(f"down_proj.{key}", errors["down_proj"][way], "of down_proj's outputs")


# ---- the side trip: the whole model ----


def _by_draw(table: Table, method: str) -> list[list[float]]:
    """Losses of each passage, for each draw of calibration text."""
    return [row["losses"] for row in table["rows"] if row["method"] == method]


def losses(table: Table, method: str) -> list[float]:
    """The loss on each passage, the mean over the draws of calibration text. `method` is rtn, gptq or awq."""
    return [fmean(one) for one in zip(*_by_draw(table, method), strict=True)]


def gaps(table: Table) -> dict[str, list[float]]:
    """What one method loses more than another, passage by passage: what they share of a passage's luck cancels."""
    nearest, gptq, awq = (losses(table, method) for method in ("rtn", "gptq", "awq"))
    pairs = {"GPTQ minus nearest": (gptq, nearest), "AWQ minus nearest": (awq, nearest), "GPTQ minus AWQ": (gptq, awq)}
    return {name: [a - b for a, b in zip(*pair, strict=True)] for name, pair in pairs.items()}


def lost(table: Table, method: str = "rtn") -> float:
    """Nats a token that a way of rounding, by default to nearest, loses against the intact base."""
    return fmean(losses(table, method)) - fmean(table["intact"])


def every_draw_wins(table: Table, method: str) -> bool:
    """Whether each single draw of calibration text gives a lower mean loss than rounding to nearest."""
    nearest = fmean(losses(table, "rtn"))
    return all(fmean(one) < nearest for one in _by_draw(table, method))


def apart(values: Sequence[float]) -> bool:
    """Whether the 95% interval of their mean leaves out zero."""
    one = sweep.summary(list(values))
    return one.low > 0 or one.high < 0


def record_table(table: Table) -> None:
    """Record what rounding to nearest loses, how much of it GPTQ and AWQ take back,
    and whether they can be told apart."""
    between = gaps(table)
    record("table.rtn", lost(table), "nats above the intact base")
    for way in ("gptq", "awq"):
        below = between[f"{way.upper()} minus nearest"]
        record(f"table.{way}", -fmean(below), "nats below round-to-nearest")
        record(f"table.{way}_wins", sweep.summary(below).high < 0)
        record(f"table.{way}_every_draw", every_draw_wins(table, way))
    record("table.told_apart", apart(between["GPTQ minus AWQ"]))
