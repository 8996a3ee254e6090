"""The pictures of lesson 06 show what their sentences say."""

import pytest
import torch

from lora_lessons import quant
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l06_quantization import pictures


@pytest.fixture
def weights():
    return torch.randn(96, 128, generator=torch.Generator().manual_seed(0))


def test_the_three_patches_are_one_corner_on_one_scale(weights):
    empty = torch.zeros_like(weights)
    figure, words = pictures.three_patches(weights, empty, weights)
    images = [ax.images[0] for ax in figure.axes]
    assert [image.get_array().shape for image in images] == [pictures.CORNER] * 3
    assert len({image.get_clim() for image in images}) == 1 and sum(images[0].get_clim()) == 0
    assert "With one ruler 100% of them are exactly 0 (100% of the whole matrix); with NF4 in blocks 0% are." in words


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


def test_each_codebook_is_one_named_dot():
    rises = {"NF4": [0.1, 0.2, 0.3], "int4": [0.3, 0.5, 0.4]}
    figure, words = pictures.error_against_loss({"NF4": 0.09, "int4": 0.11}, rises)
    one = sweep.summary(rises["int4"])
    assert f"int4: error 0.1100, loss 0.40 nats higher ({one.low:.2f} to {one.high:.2f})." in words
    dots = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == [(0.09, pytest.approx(0.2)), (0.11, pytest.approx(0.4))]


def test_weights_against_meaning_has_a_dot_per_way_and_no_two_names_on_one_line():
    row = {"bits": 4.5, "error": 0.1}
    ranked = {"NF4": row | {"moved": [0.02, 0.03]}, "int4": row | {"moved": [0.021, 0.031], "error": 0.12}}
    figure, _, words = pictures.weights_against_meaning(ranked)
    assert "NF4: error 0.1000, moved 0.0250." in words and words.index("NF4") < words.index("int4")
    heights = [text.xy[1] for text in figure.axes[0].texts]
    assert len(heights) == 2 and heights[1] - heights[0] == pytest.approx(0.003)
