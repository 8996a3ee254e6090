"""Lesson 08's picture: every total in a column of its own, no label upon another, and the question kept open."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lora_lessons import memory, planning
from lora_lessons.lessons.l08_qlora_7b import bill

BILLS = {
    "full": memory.Bill(base=60e9, gradients=15e9),
    "LoRA": memory.Bill(base=15e9, logits=2e9),
    "QLoRA": memory.Bill(base=4e9, logits=2e9, overhead=0.7e9),
}


def drawn(**how):
    figure = bill.which_card(BILLS, **how)
    FigureCanvasAgg(figure).draw()
    return figure, figure.axes[0]


def boxes(figure, ax, keep):
    return [t.get_window_extent(figure.canvas.get_renderer()) for t in ax.texts if keep(t.get_text())]


@pytest.mark.parametrize("cards", [bill.CARDS, [8.0, "RTX 3060", "T4"], ["T4", 16.0, 17.0]])
def test_names_of_cards_and_totals_do_not_touch_one_another(cards):
    figure, ax = drawn(cards=cards)
    found = boxes(figure, ax, lambda text: text.endswith("GB") or "RTX" in text or "T4" in text or "A100" in text)
    assert len(found) >= len(BILLS) + len({planning.card_bytes(card) for card in cards})
    assert not [(a, b) for n, a in enumerate(found) for b in found[:n] if a.overlaps(b)]


def test_no_line_of_a_card_cuts_a_total():
    figure, ax = drawn()
    right = ax.get_window_extent().x1
    totals = boxes(figure, ax, lambda text: text in {f"{bill.total / 1e9:.1f} GB" for bill in BILLS.values()})
    assert len(totals) == len(BILLS) and all(box.x0 > right for box in totals)


def test_cards_of_one_size_share_a_line_and_a_bar_is_its_bill():
    _, ax = drawn(cards=["RTX 3090", "RTX 4090", "T4"])
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([14.56 * 2**30 / 1e9, 24 * 2**30 / 1e9])
    assert "RTX 3090, RTX 4090" in [text.get_text() for text in ax.texts]
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(sum(b.total for b in BILLS.values()) / 1e9)


def test_the_hidden_row_is_a_question_in_the_picture_and_in_its_words():
    _, ax = drawn(hidden="QLoRA")
    said = [text.get_text() for text in ax.texts]
    assert "?" in said and "? GB" in said and "6.7 GB" not in said
    words = bill.totals(BILLS, hidden="QLoRA")
    assert "full 75.0 GB; LoRA 17.0 GB; QLoRA ?." in words and "6.7" not in words


def test_what_was_published_is_a_diamond_at_its_gb():
    _, ax = drawn(published={"full": 51.6})
    (diamond,) = [line for line in ax.lines if line.get_marker() == "D"]
    assert list(diamond.get_xdata()) == [51.6] and "◇" in ax.get_xlabel() and "◇" not in drawn()[1].get_xlabel()


def test_the_parts_are_said_down_to_a_tenth_of_a_gb():
    said = bill.parts(BILLS)
    assert "QLoRA: weights 4.0, logits, loss 2.0, driver, slack 0.7" in said and "adapters" not in said
