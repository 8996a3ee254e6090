"""The layer-anatomy widget: to scale, right in its numbers, strict about what cannot be; and LoRA with two numbers,
whose path is that of gradient descent, worked out here by torch."""

import pytest
import torch
from matplotlib.patches import Rectangle
from stills import layer_anatomy_still, refused

from lora_lessons import lora
from lora_lessons.lessons.l02 import illustration, widget


@pytest.mark.parametrize("r", [1, 8, 512, 570])
def test_w_the_product_b_and_a_are_drawn_to_one_scale(r):
    figure, _ = layer_anatomy_still(d=1536, k=576, r=r, lora_alpha=16)
    drawn = [(p.get_width(), p.get_height()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert drawn == [(576, 1536), (576, 1536), (r, 1536), (576, r)]
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


def by_torch(a, b, steps=widget.STEPS):
    """The path and the losses of torch's own SGD."""
    at = torch.tensor([a, b], dtype=torch.float64, requires_grad=True)
    optimizer, path, losses = torch.optim.SGD([at], lr=widget.LEARNING_RATE), [], []
    for step in range(steps + 1):
        loss = (1 + at[1] * at[0] - 2) ** 2
        path.append(at.detach().clone())
        losses.append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return torch.stack(path), losses


@pytest.mark.parametrize(
    "start", [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (-0.3, 0.2), (1.0, -1.0), (2.0, 2.0), (-2.0, 1.3)]
)
def test_the_descent_is_that_of_torch(start):
    path, losses = by_torch(*start)
    ours = widget.descend(*start)
    assert ours.a == pytest.approx(path[:, 0].tolist()) and ours.b == pytest.approx(path[:, 1].tolist())
    assert ours.loss == pytest.approx(losses, abs=1e-12)


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ((0.0, 0.0), "Both gradients are zero, so nothing ever moves"),
        ((1.0, 1.0), "already in the valley"),
        ((0.5, 0.0), "∂L/∂a = 0, ∂L/∂b = −1.00. Only b moves in the first step. The path reaches the valley"),
        ((0.0, 0.5), "∂L/∂a = −1.00, ∂L/∂b = 0. Only a moves in the first step. The path reaches the valley"),
        ((1.0, -1.0), "On the line b = −a both shrink together, and the path ends in the saddle: loss 1.00"),
        ((0.01, 0.0), "it is still on its way"),
    ],
)
def test_the_words_say_what_happens(start, said):
    assert said in widget.story(widget.descend(*start))


def test_every_start_of_the_slider_has_its_words_and_stays_on_the_page():
    scene = widget.start_map_scene(0.5, -0.7)
    page, edge = scene.page(), scene.backdrop.page
    assert scene.stops == widget.STARTS and len(scene.stops) == 41
    assert scene.words == [widget.story(widget.descend(a, -0.7)) for a in scene.stops]
    for mark in page["marks"]:
        if mark["kind"] == "dot":
            assert all(
                0 < x < edge["width"] and 0 < y < edge["height"] for x, y in zip(mark["x"], mark["y"], strict=True)
            )


@pytest.mark.parametrize("typed", [2.1, -3, 10_000, "eight", True, "", None, float("nan")])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_start_off_the_map_is_refused_and_the_picture_stays(name, typed):
    said = f"{name} starts between −2 and 2, where the map ends; got {typed!r}."
    refused(widget.start_map(), {name: typed}, said, {"a": 0.3, "b": 0.1}, "Start a = 0.3, b = 0.1")
