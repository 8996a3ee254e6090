"""The drawing of one block: seven matrices with the sizes of the real model, to one scale."""

import pytest
from matplotlib.patches import Rectangle
from stills import block_still

from lora_lessons import lora, models
from lora_lessons.lessons.l00 import widget


def test_the_matrices_are_those_of_the_models_own_block():
    base = models.load(precision="fp32")
    ours = [(m.name, m.d, m.k) for m in widget.matrices(base.model.config.to_dict())]
    layers = [n for n in lora.resolve_targets(base.model, "all-linear") if n.startswith("model.layers.7.")]
    theirs = [(n.rpartition(".")[2], *base.model.get_submodule(n).weight.shape) for n in layers]
    assert sorted(ours) == sorted(theirs) and len(ours) == 7
    total = sum(d * k for _, d, k in theirs)
    assert f"of the block's {total / 1e6:.2f} million" in widget.block_words(base.model.config.to_dict(), 1)


def test_they_are_drawn_to_scale_and_apart():
    figure, words = block_still(6)
    drawn = [[p for p in ax.patches if isinstance(p, Rectangle)] for ax in figure.axes]
    still, (nothing, marked) = [p for half in drawn for p in half[:-1]], [half[-1] for half in drawn]
    seven = still[::3]  # and A and B of each
    scales = [ax.bbox.width / (ax.get_xlim()[1] - ax.get_xlim()[0]) for ax in figure.axes]
    scales += [ax.bbox.height / (ax.get_ylim()[1] - ax.get_ylim()[0]) for ax in figure.axes]
    assert scales == pytest.approx([scales[0]] * 4), "both halves, attention and MLP, have one scale"
    assert nothing.get_width() == nothing.get_height() == 0
    sizes = [(round(p.get_height()), round(p.get_width())) for p in seven]
    assert sizes == [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
    assert (marked.get_x(), marked.get_height()) == (seven[5].get_x(), 1536)
    for W, A, B in zip(seven, still[1::3], still[2::3], strict=True):
        assert (A.get_width(), B.get_height()) == (W.get_width(), W.get_height())
    boxes = [p.get_bbox() for p in still]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert words.startswith("6 of 7: up_proj ") and "1,536 × 576 = 884,736 numbers, 25%" in words
    assert "B (1,536×8) and A (8×576) beside it: 16,896 numbers (blue" in words


def test_every_label_stands_in_the_picture_and_on_no_other():
    figure, _ = block_still(1)
    figure.canvas.draw()
    texts = [t for ax in figure.axes for t in ax.texts if t.get_text() not in ("", "1")]
    boxes = {t.get_text(): t.get_window_extent() for t in texts}
    page = figure.bbox
    for text, box in boxes.items():
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1, text
    names = list(boxes)
    clash = [(a, b) for i, a in enumerate(names) for b in names[:i] if boxes[a].overlaps(boxes[b])]
    assert clash == []


@pytest.mark.parametrize("wrong", [0, 8, 2.5, "q_proj", True])
def test_a_matrix_that_is_not_there_is_refused(wrong):
    with pytest.raises(ValueError, match=r"choose 1 to 7\.|whole number such as 8"):
        block_still(wrong)
