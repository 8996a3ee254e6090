"""The planner: the ledger's numbers in the picture, GiB for cards, and impossible settings refused with a sentence."""

import pytest
from matplotlib.figure import Figure

from lora_lessons import lora, memory, models
from lora_lessons.course import pictures, widgets


def widths(ax):
    """The bar's parts in GB, left to right."""
    return [bar.get_width() for container in ax.containers for bar in container]


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


def test_the_bar_and_the_cards_line_are_to_scale():
    (ax,) = widgets.fit_figure("Llama-2-7B", "full bf16", 8, "A100 40").axes
    assert widths(ax) == pytest.approx([part / 1e9 for part in widgets.fit_bill("Llama-2-7B", "full bf16")])
    assert ax.lines[0].get_xdata()[0] == pytest.approx(40 * 2**30 / 1e9)
    assert ax.get_xlim()[1] > 54


@pytest.mark.parametrize(
    "setting, title, part",
    [
        (("Llama-2-7B", "qlora", 8, "RTX 4090"), "fits, the fixed part", "4.2 GB. RTX 4090 holds 24 GiB = 25.8 GB. Its fixed"),
        (("Llama-2-7B", "lora", 8, "RTX 3060"), "does not fit", "It cannot fit: 0.9 GB are missing"),
        (("Llama-2-7B", "full fp32", 8, "A100 80"), "does not fit", "full fp32 fine-tuning: 107.8 GB. A100 80 holds 80 GiB"),
    ],
)  # fmt: skip
def test_it_says_whether_it_fits(setting, title, part):
    assert part in widgets.fit_words(*setting)
    assert (
        title
        in widgets.fit_figure(*setting).axes[0].get_title(loc="left") + widgets.fit_figure(*setting).axes[0].get_title()
    )


@pytest.mark.parametrize("r", [0, -8, 10_000, "eight", 2.5, True])
def test_an_impossible_rank_is_refused_in_the_layers_words(r):
    with pytest.raises(ValueError, match="1 ≤ r ≤ 4096|whole number such as 8"):
        widgets.fit_figure("Llama-2-7B", "qlora", r, "RTX 4090")


def test_the_smallest_layer_decides_how_large_r_may_be():
    widgets.fit_bill("Mistral-7B", "lora", 1024)
    with pytest.raises(ValueError, match="does not fit a 1024×4096 weight"):
        widgets.fit_bill("Mistral-7B", "lora", 1025)


def test_unknown_names_are_answered_with_those_that_exist():
    with pytest.raises(ValueError, match="Llama-2-7B"):
        widgets.fit_figure("Llama-9", "lora", 8, "T4")
    with pytest.raises(ValueError, match="RTX 3060"):
        widgets.fit_figure("Llama-2-7B", "lora", 8, "GTX 1")
    with pytest.raises(ValueError, match="qlora"):
        widgets.fit_figure("Llama-2-7B", "dora", 8, "T4")


def test_controls_redraw_and_a_refusal_keeps_the_last_picture():
    model, method, r, card, said, picture = widgets.fit().children
    first = bytes(picture.value)
    assert first.startswith(b"\x89PNG")
    method.value = "full fp32"
    second = bytes(picture.value)
    assert second != first and said.value == ""
    r.value = 0
    assert picture.value == second and "choose 1 ≤ r ≤ 4096" in said.value
    r.value, card.value, model.value = 16, "H200", "Mistral-7B"
    assert picture.value != second and said.value == ""


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
