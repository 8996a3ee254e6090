"""The planner: the ledger's numbers in the picture, GiB for cards, and impossible settings refused with a sentence."""

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lora_lessons import lora, memory, models
from lora_lessons.course import pictures, widgets

FULL = ("Llama-2-7B", "full bf16", 8, "A100 40")


def widths(ax):
    """The bar's parts in GB, left to right."""
    return [bar.get_width() for container in ax.containers for bar in container]


def parts(figure):
    """Left edge and width in GB of each part of the widget's bar; the card's room is the axes' first patch."""
    _, *bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    return [(bar.get_x(), bar.get_width()) for bar in bars]


def turn(stage, **values):
    """Set controls as the page does."""
    stage.values = stage.values | values
    assert stage.answered == stage.values


def test_the_bill_is_the_ledgers_for_the_attached_shape():
    model = models.shape("Qwen2.5-7B")
    parameters = sum(p.numel() for p in model.parameters())
    lora.attach(model, r=16)
    trainable = lora.trainable_parameters(model)
    assert widgets.fit_bill("Qwen2.5-7B", "lora", 16) == memory.state(parameters, "lora", trainable)
    linears = sum(layer.base_layer.weight.numel() for _, layer in lora.lora_layers(model))
    packed = memory.state(parameters, "qlora", trainable, parameters - linears)
    assert widgets.fit_bill("Qwen2.5-7B", "qlora", 16) == packed
    assert widgets.fit_bill("Qwen2.5-7B", "full fp32").total == 16 * parameters


@pytest.mark.parametrize("method", memory.METHODS)
def test_the_bar_is_the_bill_at_every_rank(method):
    for r in (1, 8, 300):
        bars = parts(widgets.fit_still("Llama-2-7B", method, r, "RTX 4090")[0])
        bill = [part / 1e9 for part in widgets.fit_bill("Llama-2-7B", method, r)]
        assert [width for _, width in bars] == pytest.approx(bill)
        assert [left for left, _ in bars] == pytest.approx([sum(bill[:n]) for n in range(4)]), "end to end"


def test_on_the_page_too():
    scene = widgets.fit_scene("Llama-2-7B", "qlora", 8, "RTX 4090")
    page = scene.page()
    bars = [mark for mark in page["marks"] if mark["kind"] == "bar"]
    ax = scene.backdrop.figure.axes[0]
    pixels = ax.get_window_extent().width / ax.get_xlim()[1]
    assert page["stops"] == list(range(1, 257))
    for r in (1, 16, 256):
        shown = [mark["width"][r - 1] for mark in bars]
        bill = widgets.fit_bill("Llama-2-7B", "qlora", r)
        assert shown == pytest.approx([part / 1e9 * pixels for part in bill], abs=0.03)


def test_the_cards_line_is_to_scale():
    (ax,) = widgets.fit_still(*FULL)[0].axes
    assert ax.lines[0].get_xdata()[0] == pytest.approx(40 * 2**30 / 1e9)
    assert ax.patches[0].get_width() == pytest.approx(40 * 2**30 / 1e9)
    assert ax.get_xlim()[1] > 54, "a bar beyond the card is seen whole"


@pytest.mark.parametrize(
    "setting, title, part",
    [
        (("Llama-2-7B", "qlora", 8, "RTX 4090"), "fits, the fixed part", "4.2 GB. RTX 4090 holds 24 GiB = 25.8 GB. Its fixed"),
        (("Llama-2-7B", "lora", 8, "RTX 3060"), "does not fit", "It cannot fit: 0.9 GB are missing"),
        (("Llama-2-7B", "full fp32", 8, "A100 80"), "does not fit", "full fp32 fine-tuning: 107.8 GB. A100 80 holds 80 GiB"),
    ],
)  # fmt: skip
def test_it_says_whether_it_fits(setting, title, part):
    figure, words = widgets.fit_still(*setting)
    assert part in words == widgets.fit_words(*setting)
    assert title in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("r", [0, -8, 10_000, "eight", 2.5, True])
def test_an_impossible_rank_is_refused_in_the_layers_words(r):
    with pytest.raises(ValueError, match="1 ≤ r ≤ 4096|whole number such as 8"):
        widgets.fit_still("Llama-2-7B", "qlora", r, "RTX 4090")


def test_the_smallest_layer_decides_how_large_r_may_be():
    widgets.fit_bill("Mistral-7B", "lora", 1024)
    with pytest.raises(ValueError, match="does not fit a 1024×4096 weight"):
        widgets.fit_bill("Mistral-7B", "lora", 1025)


def test_unknown_names_are_answered_with_those_that_exist():
    with pytest.raises(ValueError, match="Llama-2-7B"):
        widgets.fit_still("Llama-9", "lora", 8, "T4")
    with pytest.raises(ValueError, match="RTX 3060"):
        widgets.fit_still("Llama-2-7B", "lora", 8, "GTX 1")
    with pytest.raises(ValueError, match="qlora"):
        widgets.fit_still("Llama-2-7B", "dora", 8, "T4")


@pytest.mark.parametrize("typed", [0, -3, 10_000, "eight", 2.5, True, ""])
def test_a_refusal_keeps_the_last_picture(typed):
    stage = widgets.fit()
    turn(stage, method="lora")
    scene = stage.scene
    turn(stage, r=typed)
    assert ("1 ≤ r ≤ 4096" in stage.said or "whole number such as 8" in stage.said) and repr(typed) in stage.said
    assert stage.scene is scene and stage.still()[1] == widgets.fit_words("Llama-2-7B", "lora", 8, "RTX 4090")
    turn(stage, r=16, card="H200", model="Mistral-7B")
    assert stage.said == "" and stage.still()[1] == widgets.fit_words("Mistral-7B", "lora", 16, "H200")


def test_controls_redraw():
    stage = widgets.fit()
    for control in stage.controls:
        for option in control.get("options", ()):
            turn(stage, **{control["name"]: option})
            v = stage.values
            assert stage.said == "" and stage.scene["words"][6] == widgets.fit_words(
                v["model"], v["method"], 7, v["card"]
            )


def test_cards_of_one_size_share_a_line():
    bills = {m: widgets.fit_bill("Llama-2-7B", m) for m in memory.METHODS}
    figure = pictures.fit_bars(bills, ["RTX 3090", "RTX 4090", "T4"])
    (ax,) = figure.axes
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([24 * 2**30 / 1e9, 15 * 2**30 / 1e9])
    assert "RTX 3090, RTX 4090" in [text.get_text() for text in ax.texts]
    assert sum(widths(ax)) == pytest.approx(sum(bill.total for bill in bills.values()) / 1e9)


def test_the_other_pictures_of_lesson_00_are_to_scale():
    (ax,) = pictures.number_formats(8_000_000_000, {"fp32": 32, "NF4": 4}).axes
    assert widths(ax) == [32, 4]
    figure = pictures.where_numbers_sit({"a": {"embedding": 1, "MLP": 3}, "b": {"embedding": 1, "MLP": 1}})
    assert isinstance(figure, Figure) and widths(figure.axes[0]) == [0.25, 0.75, 0.5, 0.5]
