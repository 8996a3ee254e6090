"""Sixteen marks: the page's error is that of the rounded matrix, and what it needs travels with it."""

import json
import re

import pytest
import torch

from lora_lessons import lowrank, quant
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.lessons.l06 import widget


@pytest.fixture
def W():
    W = torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    W[:50] *= 9  # what a block adds to the error goes with its size
    W[7] = 0
    return W


def test_the_error_is_that_of_the_rounded_matrix(W):
    game, absmax = widget.sixteen_marks(W), W.abs().amax(1, keepdim=True).clamp(min=1e-38)
    for marks in (game.marks, game.nf4, [-1.0, 0.0, 0.3]):
        table = torch.tensor(marks)
        back = table[quant.nearest(W / absmax, table).long()] * absmax
        assert game.error(marks) == pytest.approx(lowrank.relative_error(W, back), rel=0.002)
    figure, words = game.still()
    assert f"their error is {game.error(game.marks):.2%}; NF4's is {game.error(game.nf4):.2%}." in words
    assert len(figure.axes[0].collections[0].get_segments()) == 16


def test_all_that_the_page_asks_for_is_kept_for_the_web(W):
    game = widget.sixteen_marks(W)
    bundle = game._repr_mimebundle_()[0]
    read = set(re.findall(r'model\.get\("(\w+)"\)', (widget.HERE / "marks.js").read_text("utf-8")))
    assert read == set(bundle[SCENE]["state"]) and json.loads(json.dumps(bundle[SCENE])) == bundle[SCENE]
    assert "run the cell to play" in bundle["text/html"]


@pytest.mark.parametrize("nothing", [torch.zeros(64, 64), torch.randn(7, 9)])
def test_nothing_to_play_with_is_refused(nothing):
    with pytest.raises(ValueError, match="at least 64 weights, not all of them 0"):
        widget.sixteen_marks(nothing)
