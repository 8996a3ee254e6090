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
    assert "With one ruler 100% of them are exactly 0; with NF4 in blocks 0% are." in words


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


def test_levels_errors_and_bits_are_said_as_drawn(weights):
    share = torch.tensor([0.1, 0.7, 0.2])
    _, words = pictures.shares_of_levels({"way": (torch.tensor([-1.0, 0.0, 1.0]), share)})
    assert words == "way: the busiest level holds 70% of the weights, the emptiest 10.0%."
    figure, words = pictures.errors_by_codebook({"NF4": [0.09, 0.1, 0.2]}, {"NF4": 0.08})
    assert words == "NF4: median 0.100, normal noise 0.080." and len(figure.axes[0].lines) == 3
    packed = {"NF4": quant.quantize(weights), "NF4 + double": quant.quantize(weights, double=True)}
    figure, words = pictures.bits_of_a_parameter(packed)
    assert words.startswith("16 bits become 4.500 as NF4, and 4.1") and words.endswith("as NF4 + double.")
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths[:4] == [16, 0, 4, 0.5] and widths[4] == 4


def test_each_passage_is_a_dot_in_every_row_and_the_mean_stands_below():
    rises = {"NF4": [0.1, 0.2, 0.3], "int4": [0.3, 0.5, 0.4]}
    figure, words = pictures.rises_by_passage(rises)
    one = sweep.summary(rises["int4"])
    assert f"int4: mean 0.40, 95% interval {one.low:.2f} to {one.high:.2f}." in words
    joined = [line for line in figure.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    assert (0.1, 0.3) in {tuple(line.get_xdata()) for line in joined}
    dots = [tuple(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dots == [(0.1, 0.2, 0.3), (0.3, 0.5, 0.4)]


def test_weights_against_meaning_has_a_dot_per_way_and_no_two_names_on_one_line():
    row = {"bits": 4.5, "error": 0.1}
    ranked = {"NF4": row | {"moved": [0.02, 0.03]}, "int4": row | {"moved": [0.021, 0.031], "error": 0.12}}
    figure, words = pictures.weights_against_meaning(ranked)
    assert "NF4: error 0.1000, moved 0.0250." in words and words.index("NF4") < words.index("int4")
    heights = [text.xy[1] for text in figure.axes[0].texts]
    assert len(heights) == 2 and heights[1] - heights[0] == pytest.approx(0.0026)
