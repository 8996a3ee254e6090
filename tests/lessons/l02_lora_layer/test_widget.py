"""The layer-anatomy widget: to scale, right in its numbers, and strict about what cannot be."""

import pytest
from matplotlib.patches import Rectangle
from stills import layer_anatomy_still

from lora_lessons import lora
from lora_lessons.lessons.l02_lora_layer import widget


def rectangles(figure):
    return [(p.get_width(), p.get_height()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]


def turn(stage, **values):
    """Set controls as the page does."""
    stage.values = stage.values | values
    assert stage.answered == stage.values


@pytest.mark.parametrize("r", [1, 8, 512, 570])
def test_w_b_and_a_are_drawn_to_one_scale(r):
    figure, _ = layer_anatomy_still(d=1536, k=576, r=r, lora_alpha=16)
    assert rectangles(figure) == [(576, 1536), (r, 1536), (576, r)]
    assert figure.axes[0].get_aspect() == 1


def test_on_the_page_too_for_every_rank():
    page = widget.layer_anatomy_scene(d=1536, k=576, r=8, lora_alpha=16).page()
    B, A = [mark for mark in page["marks"] if mark["kind"] == "bar"]
    pixels = B["height"][0] / 1536
    assert page["stops"] == list(range(1, 513)) and pixels > 0.1
    assert B["width"] == pytest.approx([r * pixels for r in page["stops"]], abs=0.03)
    assert A["height"] == pytest.approx([r * pixels for r in page["stops"]], abs=0.03)
    assert set(B["height"]) == {B["height"][0]} and A["width"] == pytest.approx([576 * pixels] * 512, abs=0.03)
    right = [x + width for x, width in zip(B["x"], B["width"], strict=True)]
    assert all(x > edge for x, edge in zip(A["x"], right, strict=True)), "A stands to the right of B, apart"


def test_nothing_leaves_the_picture():
    scene = widget.layer_anatomy_scene(d=1536, k=576, r=8, lora_alpha=16)
    width = scene.backdrop.page["width"]
    for mark in scene.page()["marks"]:
        assert min(mark["x"]) >= 0 and max(mark["x"]) <= width
        if mark["kind"] == "bar":
            assert max(x + w for x, w in zip(mark["x"], mark["width"], strict=True)) <= width


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


def test_a_rank_above_the_slider_may_be_typed():
    scene = widget.layer_anatomy_scene(1536, 576, 570, 16)
    assert scene.stops[-2:] == [512, 570] and scene.words[-1] == widget.layer_anatomy_words(1536, 576, 570, 16)


@pytest.mark.parametrize(
    "settings", [(1536, 576, 0, 16), (1536, 576, 577, 16), (1536, 576, 8, 0), (1536, 576, "eight", 16)]
)
def test_impossible_settings_are_refused_in_the_layers_words(settings):
    d, k, r, alpha = settings
    with pytest.raises(ValueError) as ours:
        layer_anatomy_still(d, k, r, alpha)
    with pytest.raises(ValueError) as layers:
        lora.check_settings(r, alpha, d, k)
    assert str(ours.value) == str(layers.value)


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
    stage = widget.layer_anatomy()
    scene = stage.scene
    turn(stage, **typed)
    assert said in stage.said and stage.scene is scene
    assert stage.still()[1] == widget.layer_anatomy_words(1536, 576, 8, 16)
    turn(stage, d=1536, k=576, r=64, lora_alpha=32)
    assert stage.said == "" and stage.still()[1] == widget.layer_anatomy_words(1536, 576, 64, 32)


def test_controls_redraw():
    stage = widget.layer_anatomy()
    first = stage.backdrop["png"]
    turn(stage, r=64)
    assert stage.backdrop["png"] == first, "a rank moves marks only"
    turn(stage, d=100, k=50, r=50)
    assert stage.backdrop["png"] != first and stage.scene["stops"] == list(range(1, 51))
    assert stage.still()[1] == widget.layer_anatomy_words(100, 50, 50, 16)
