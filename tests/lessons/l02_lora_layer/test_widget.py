"""The layer-anatomy widget: to scale, right in its numbers, and strict about what cannot be."""

import pytest
import torch
from matplotlib.patches import Rectangle
from stills import layer_anatomy_still, refused, turn

from lora_lessons import lora
from lora_lessons.lessons.l02 import illustration, widget


def rectangles(figure):
    return [(p.get_width(), p.get_height()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]


@pytest.mark.parametrize("r", [1, 8, 512, 570])
def test_w_the_product_b_and_a_are_drawn_to_one_scale(r):
    figure, _ = layer_anatomy_still(d=1536, k=576, r=r, lora_alpha=16)
    assert rectangles(figure) == [(576, 1536), (576, 1536), (r, 1536), (576, r)]
    assert figure.axes[0].get_aspect() == 1


def test_nothing_leaves_the_picture_and_b_and_a_stand_at_the_edges_of_their_product():
    scene = widget.layer_anatomy_scene(d=1536, k=576, r=8, lora_alpha=16)
    page, marks = scene.backdrop.page, scene.page()["marks"]
    B, A = [mark for mark in marks if mark["kind"] == "bar"]
    ends = [x + w for x, w in zip(B["x"], B["width"], strict=True)]
    assert ends == pytest.approx([ends[0]] * len(ends), abs=0.05) and ends[0] < A["x"][0]
    assert all(y + h < B["y"][0] for y, h in zip(A["y"], A["height"], strict=True))
    for mark in marks:
        assert min(mark["x"]) >= 0 and max(mark["x"]) <= page["width"]
        assert min(mark["y"]) >= 0 and max(mark["y"]) <= page["height"]


@pytest.mark.parametrize("d, k, r", [(576, 576, 8), (4, 7, 1)])
def test_a_token_is_squeezed_and_spread_in_true_shapes(d, k, r):
    A, B, x = torch.randn(r, k), torch.randn(d, r), torch.randn(k)
    (ax,) = illustration.squeeze(x, A, B, 2.0).axes
    shapes = [image.get_array().shape for image in ax.images]
    assert shapes == [(k, 1), (r, k), (r, 1), (d, r), (d, 1)]
    tall = [image.get_extent()[3] - image.get_extent()[2] for image in ax.images]
    wide = [image.get_extent()[1] - image.get_extent()[0] for image in ax.images]
    assert (tall[0], tall[1], tall[3], tall[4]) == (k, r, d, d) and (wide[1], wide[3]) == (k, r)
    update = torch.tensor(ax.images[-1].get_array()[:, 0])
    assert torch.allclose(update / update.norm(), (2 * B @ A @ x) / (2 * B @ A @ x).norm(), atol=1e-4)


def test_the_numbers_are_those_of_the_layer():
    from torch import nn

    layer = lora.LoRALinear(nn.Linear(576, 1536, bias=False), r=8, lora_alpha=16)
    words = widget.layer_anatomy_words(1536, 576, 8, 16)
    trained = lora.trainable_parameters(layer)
    assert f"{layer.base_layer.weight.numel():,}" in words
    assert f"A and B together hold {trained:,}, 1.91% of that" in words
    assert f"{2 * trained / 1000:,.1f} kB" in words  # 16-bit
    assert "1.77 million operations through W and 0.034 million" in words  # a multiplication and an addition a number
    assert f"The scale α/r is {layer.scaling:.3g}." in words
    assert widget.layer_anatomy_scene(1536, 576, 8, 16).words[7] == words


@pytest.mark.parametrize(
    "typed, said",
    [
        *(({"r": r}, "choose 1 ≤ r ≤ 576") for r in (0, -3, 577, 10_000)),
        *(({"r": r}, "a whole number such as 8") for r in ("eight", 2.5, True, "")),
        *(({"lora_alpha": alpha}, "must be a number above 0") for alpha in (0, -3, "eight", True, "")),
        *(({"d": d}, "of at least 1; got") for d in (0, -3)),
        *(({"k": k}, "k is a whole number such as 8; got") for k in ("eight", 2.5, True, "")),
    ],
)
def test_what_cannot_be_is_refused_and_the_picture_stays(typed, said):
    then = {"d": 1536, "k": 576, "r": 64, "lora_alpha": 32}
    refused(widget.layer_anatomy(), typed, said, then, widget.layer_anatomy_words(**then))


def test_controls_redraw():
    stage = widget.layer_anatomy()
    first = stage.backdrop["png"]
    turn(stage, r=64)
    assert stage.backdrop["png"] == first, "a rank moves marks only"
    turn(stage, d=100, k=50, r=50)
    assert stage.backdrop["png"] != first and stage.scene["stops"] == list(range(1, 51))
    assert stage.still()[1] == widget.layer_anatomy_words(100, 50, 50, 16)
