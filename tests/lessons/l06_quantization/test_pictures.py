"""The pictures of lesson 06 show what their sentences say."""

import pytest
import torch

from lora_lessons import quant
from lora_lessons.lessons.l06_quantization import pictures


@pytest.fixture
def weights():
    return torch.randn(96, 128, generator=torch.Generator().manual_seed(0))


def test_the_histogram_is_of_the_scaled_blocks_and_has_the_bells_area(weights):
    blocks = weights.reshape(-1, 64)
    scaled = blocks / blocks.abs().amax(1, keepdim=True)
    figure, words = pictures.bell_and_levels({"NF4": quant.levels("nf4"), "int4": quant.levels("int4")}, scaled)
    (ax,) = figure.axes
    steps, bell = ax.patches[0].get_data(), ax.lines[0].get_data()
    assert steps.values.mean() == pytest.approx(bell[1].mean(), rel=0.01)
    assert steps.values[20] > bell[1].max(), "a block of 64 reaches beyond the bell's end, so its middle is fuller"
    within = scaled.abs().quantile(0.5)
    assert f"Half of the weights lie within {within:.2f} of 0; of the bell, half lies within 0.34." in words
    assert "0.080 apart, and up to 0.277 apart outside" in words


def test_a_blocks_first_two_codes_are_the_byte_that_is_drawn(weights):
    block, levels = weights.reshape(-1, 64)[0], quant.levels("nf4")
    codes = quant.nearest(block / block.abs().max(), levels)
    figure, words = pictures.one_block(block, codes, levels)
    byte = int(quant.quantize(block).packed[0])
    assert f"{codes[0]:04b} and {codes[1]:04b}, together {byte}." in words
    drawn = [text.get_text() for text in figure.axes[0].texts]
    assert [str(int(codes[0])), str(int(codes[1])), f"{codes[0]:04b}", f"{codes[1]:04b}", str(byte)] == [
        text for text in drawn if text.isdigit()
    ]
