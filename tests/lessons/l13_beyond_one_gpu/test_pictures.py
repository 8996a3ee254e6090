"""Lesson 13's pictures say in words what they show, and keep the question open."""

from matplotlib.backends.backend_agg import FigureCanvasAgg

from lora_lessons import memory
from lora_lessons.lessons.l13_beyond_one_gpu import pictures
from lora_lessons.tools import planning

CARD = planning.CardBill(20e9, 1e9, 0.0, 2e9, 3e9, 1e9, 0.5e9)
HOST = planning.HostBill(44e9, 44e9, 1e9, 4e9, 38e9)


def texts(figure):
    FigureCanvasAgg(figure).draw()
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_a_hidden_row_is_a_question_in_the_picture_and_in_its_words():
    figure, words = pictures.cards({"one": CARD, "two": CARD}, hidden=("two",))
    assert "?" in texts(figure) and "two ?" in words and "one 27.5 GB" in words and "25.8 GB" in words


def test_the_line_stands_at_what_the_card_holds():
    figure, _ = pictures.cards({"one": CARD}, card="8")
    assert "a card of 8 GB" in texts(figure)
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [8 * 2**30 / 1e9] * len(figure.axes[0].lines)


def test_a_published_figure_is_a_diamond_and_a_sentence():
    figure, words = pictures.computers({"PEFT": HOST}, {"PEFT": 107.0})
    assert [line.get_marker() for line in figure.axes[0].lines] == ["D"]
    assert (
        "93 GB, at first 131; 107 measured" in texts(figure)
        and "PEFT 131.0 GB" in words
        and "Published for PEFT: 107 GB." in words
    )


def test_the_journey_has_five_stations_and_names_them_in_words():
    figure, words = pictures.journey()
    shown = texts(figure)
    for number, (name, _) in enumerate(pictures.STATIONS, 1):
        assert f"{number} {name}" in shown
    assert all(f"{n} " in words for n in (1, 2, 3, 4)) and "reduce-scatter" in words


def test_what_one_card_would_hold_alone_is_its_ledger():
    job = memory.Job("qlora", seq=128)
    assert abs(pictures.alone("Llama-2-7B", job).total - memory.predict("Llama-2-7B", job).bill.total) < 1
