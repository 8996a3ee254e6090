"""The layer-anatomy widget: to scale, right in its numbers, and strict about what cannot be."""

import pytest
from matplotlib.patches import Rectangle

from lora_lessons import lora
from lora_lessons.course import widgets


def rectangles(figure):
    return [(p.get_width(), p.get_height()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]


def test_w_b_and_a_are_drawn_to_one_scale():
    figure = widgets.layer_anatomy_figure(d=1536, k=576, r=8, lora_alpha=16)
    assert rectangles(figure) == [(576, 1536), (8, 1536), (576, 8)]
    assert figure.axes[0].get_aspect() == 1


def test_the_numbers_are_those_of_the_layer():
    from torch import nn

    layer = lora.LoRALinear(nn.Linear(576, 1536, bias=False), r=8, lora_alpha=16)
    words = widgets.layer_anatomy_words(1536, 576, 8, 16)
    trained = lora.trainable_parameters(layer)
    assert f"{layer.base_layer.weight.numel():,}" in words
    assert f"{trained:,}: 1.91% of W" in words
    assert f"{2 * trained / 1000:,.1f} kB" in words  # 16-bit
    assert "1.77 MFLOP through W, 0.034 MFLOP" in words  # a multiplication and an addition a number
    assert f"α/r = {layer.scaling:.3g}" in words


@pytest.mark.parametrize(
    "settings", [(1536, 576, 0, 16), (1536, 576, 577, 16), (1536, 576, 8, 0), (1536, 576, "eight", 16)]
)
def test_impossible_settings_are_refused_in_the_layers_words(settings):
    d, k, r, alpha = settings
    with pytest.raises(ValueError) as ours:
        widgets.layer_anatomy_figure(d, k, r, alpha)
    with pytest.raises(ValueError) as layers:
        lora.check_settings(r, alpha, d, k)
    assert str(ours.value) == str(layers.value)


def test_a_weight_needs_a_size():
    with pytest.raises(ValueError, match="at least 1; got 0×576"):
        widgets.layer_anatomy_figure(0, 576, 8, 16)


def test_controls_redraw_and_a_refusal_keeps_the_last_picture():
    box = widgets.layer_anatomy()
    *controls, said, picture = box.children
    r = next(control for control in controls if "rank" in control.description)
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG")
    r.value = 64
    second = bytes(picture.value)
    assert second != first and said.value == ""
    r.value = 600  # above min(d, k) = 576
    assert picture.value == second and "1 ≤ r ≤ 576" in said.value
    r.value = 8
    assert picture.value == first and said.value == ""
