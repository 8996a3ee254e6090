"""NF4 by hand has quant's bits, whoever wrote its pieces, and says whose they are; and the game of sixteen marks
tells the error of the rounded matrix."""

import inspect
import json
import re

import pytest
import torch

from lora_lessons import by_hand, lowrank, quant
from lora_lessons.course import exercises, learner, own_code
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.lessons.l06 import widget

SOLVED = {name: inspect.getsource(one) for name, one in by_hand.OURS._asdict().items()}


@pytest.fixture(autouse=True)
def own_files(progress):
    by_hand._last.clear()


def keep(name, source):
    learner.keep_code(name, own_code.IMPORTS + exercises.EXERCISES[by_hand.ASKED_IN[name]].imports + source)


def weights(*shape):
    W = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    W.view(-1)[64:128] = 0
    W.view(-1)[300] = 40
    return W


@pytest.mark.parametrize("shape", [(192, 576), (576, 1536), (9, 21), (5, 64)], ids=str)
def test_it_has_the_bits_of_quant(shape):
    W = weights(*shape) if torch.Size(shape).numel() > 300 else torch.randn(shape) / 3
    q, ours = by_hand.quantized_by(by_hand.OURS, W), quant.quantize(W, double=True)
    assert torch.equal(q.packed[: len(ours.packed)], ours.packed) and torch.equal(q.codes, ours.absmax.codes)
    assert torch.equal(q.scale, ours.absmax.absmax) and torch.equal(q.mean, ours.absmax.offset)
    assert torch.equal(by_hand.dequantized_by(by_hand.OURS, q), quant.dequantize(ours))
    if W.numel() % 64 == 0:
        assert q.bits == ours.bits


def test_the_learners_pieces_are_used_and_said_once(capsys):
    W = weights(64, 96)
    ours = by_hand.nf4(W)
    said = "Your own: nothing yet. The course's: to_codes, from_bytes; to use your own, solve 06.1, 06.2.\n"
    assert capsys.readouterr().out == said
    keep("from_bytes", SOLVED["from_bytes"])
    assert torch.equal(by_hand.back(by_hand.nf4(W)), by_hand.back(ours))
    said = "Your own: from_bytes. The course's: to_codes; to use your own, solve 06.1.\n"
    assert capsys.readouterr().out == said
    keep("to_codes", SOLVED["to_codes"])
    assert torch.equal(by_hand.nf4(W).packed, ours.packed)
    assert capsys.readouterr().out == "NF4 is put together from your own two pieces.\n"
    assert by_hand.pieces().to_codes is not by_hand.to_codes
    keep("to_codes", SOLVED["to_codes"].replace("borders)", "borders) // 2"))
    assert not torch.equal(by_hand.nf4(W).packed, ours.packed), "the newest is used"


def test_a_file_that_cannot_be_used_gets_its_sentence_and_the_courses_is_used(capsys):
    keep("to_codes", "def to_codes(blocks:\n")
    assert by_hand.pieces().to_codes is by_hand.to_codes
    assert capsys.readouterr().out.startswith("Your to_codes.py stopped with SyntaxError")


def test_distances_are_right_and_learn_where_borders_are_better():
    def by_distance(blocks, levels):
        absmax = blocks.abs().amax(1, keepdim=True).clamp(min=1e-38)
        return (blocks[..., None] / absmax[..., None] - levels).abs().argmin(-1)

    state, sentence = exercises.judge("06.1", by_distance)
    assert state == "solved" and "torch.bucketize" in sentence


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
