"""The pictures of lesson 06 show what their sentences say."""

import pytest
import torch

from lora_lessons import quant
from lora_lessons.lessons.l06 import pictures


@pytest.fixture
def weights():
    return torch.randn(96, 128, generator=torch.Generator().manual_seed(0))


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
