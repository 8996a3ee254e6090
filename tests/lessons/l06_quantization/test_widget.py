"""The codebook bench: its numbers are quant's own, the outlier harms its block, and what cannot be is refused."""

import math

import pytest
import torch
from stills import codebook_bench_still

from lora_lessons import quant
from lora_lessons.lessons.l06_quantization import widget


@pytest.fixture
def weights():
    return torch.randn(100, 50, generator=torch.Generator().manual_seed(0))


def test_without_an_outlier_the_errors_are_quants(weights):
    run = widget.codebook_bench_run(weights, "nf4", 64, 0)
    flat = weights.reshape(-1)[:4096]
    rest = quant.relative_error(flat[64:], "nf4", 64)
    assert run.far == pytest.approx(rest, rel=1e-4)
    assert 0.05 < run.near < 0.15 and run.used > 10


def test_an_outlier_harms_its_block_and_no_other(weights):
    calm, hit = (widget.codebook_bench_run(weights, "nf4", 64, outlier) for outlier in (0, 32))
    assert hit.near > 3 * calm.near and hit.used < calm.used / 2 and hit.far == calm.far
    assert hit.weights[widget.PLACE] == 32 and torch.equal(hit.weights[64:], calm.weights[64:])
    one = widget.codebook_bench_run(weights, "nf4", 4096, 32)
    assert one.far is None and one.near > 3 * widget.codebook_bench_run(weights, "nf4", 4096, 0).near


def test_the_matrix_is_left_alone(weights):
    before = weights.clone()
    codebook_bench_still(weights, "int4", 256, 16)
    assert torch.equal(weights, before)


@pytest.mark.parametrize("codebook", quant.CODEBOOKS)
@pytest.mark.parametrize("blocksize", widget.BLOCKS)
def test_the_picture_shows_what_the_words_say(weights, codebook, blocksize):
    figure, words = codebook_bench_still(weights, codebook, blocksize, 16)
    run = widget.codebook_bench_run(weights, codebook, int(blocksize), 16)
    of = len(quant.levels(codebook))
    assert (
        f"not counting the outlier ({int(blocksize) - 1:,} neighbours): {run.near:.1%}, "
        f"with {run.used} of {of} levels in use"
    ) in words
    assert words.startswith(f"{codebook.upper()}, blocks of {blocksize}, {4 + 32 / int(blocksize):.4g} bits")
    left, right = figure.axes
    assert [bar.get_width() for bar in right.patches] == pytest.approx([run.near, run.far or 0])
    dots = {(line.get_xdata()[0], line.get_ydata()[0]) for line in left.lines[1:]}
    real = {(float(w), float(b)) for w, b in zip(run.weights, run.back, strict=True)}
    assert dots <= real and len(dots) > 60
    assert any(f"{run.used} of {of} levels" in text.get_text() for text in right.texts)


def test_the_stage_moves_and_refuses_in_a_sentence(weights):
    stage = widget.codebook_bench({"noise": weights, "small": torch.randn(8, 8)})
    stage.values = stage.values | {"codebook": "int4", "blocksize": "256"}
    assert stage.still()[1].startswith("INT4, blocks of 256") and stage.said == ""
    stage.values = stage.values | {"outlier": 5}
    assert "made 5 standard deviations large" in stage.still()[1]
    for bad in (-1, 1001, "eight", True, math.inf):
        stage.values = stage.values | {"outlier": bad}
        assert stage.said.startswith("the outlier is a size in standard deviations")
        assert "made 5 standard deviations large" in stage.still()[1]
    stage.values = stage.values | {"outlier": 5, "weights": "small"}
    assert stage.said == "the bench holds 4,096 weights, and this matrix has 64: choose a larger one."


def test_equal_weights_and_unknown_blocks_are_refused(weights):
    with pytest.raises(ValueError, match="all weights on the bench are equal"):
        codebook_bench_still(torch.zeros(64, 64), "nf4", 64, 0)
    for blocksize in (10000, "eight", 63):
        with pytest.raises(ValueError, match="the bench has blocks of 32, 64, 128, 256, 1024, 4096; got"):
            codebook_bench_still(weights, "nf4", blocksize, 0)
