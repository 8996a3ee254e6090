"""One layer rounded three ways at the same bits, and how far its outputs are off on text that GPTQ and AWQ did not read."""

from __future__ import annotations

from torch import Tensor

from ...quant.gptq import Inputs, awq, gptq, output_error, round_to_nearest


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
