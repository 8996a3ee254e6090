"""LoRA with two numbers: the map, its path and its words are those of gradient descent, worked out here by torch."""

import pytest
import torch
from stills import refused, turn

from lora_lessons.lessons.l02 import widget


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


def test_both_sliders_and_what_is_typed_move_the_start():
    stage = widget.start_map()
    png = stage.backdrop["png"]
    for values in ({"a": -1.3}, {"b": 0.4}, {"a": 0.25}, {"a": 1.0, "b": -1.0}):
        turn(stage, **values)
        assert stage.said == ""
        assert stage.still()[1] == widget.story(widget.descend(stage.values["a"], stage.values["b"]))
    assert stage.backdrop["png"] == png, "the map stays; the path moves"


@pytest.mark.parametrize("typed", [2.1, -3, 10_000, "eight", True, "", None, float("nan")])
@pytest.mark.parametrize("name", ["a", "b"])
def test_a_start_off_the_map_is_refused_and_the_picture_stays(name, typed):
    said = f"{name} starts between −2 and 2, where the map ends; got {typed!r}."
    refused(widget.start_map(), {name: typed}, said, {"a": 0.3, "b": 0.1}, "Start a = 0.3, b = 0.1")
