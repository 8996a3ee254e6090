"""Lesson 13's pictures say in words what they show, and keep the question open."""

from matplotlib.backends.backend_agg import FigureCanvasAgg

from lora_lessons import memory, planning
from lora_lessons.lessons.l13_beyond_one_gpu import pictures

CARD = planning.CardBill(20e9, 1e9, 0.0, 2e9, 3e9, 1e9, 0.5e9)
HOST = planning.HostBill(44e9, 44e9, 1e9, 4e9, 38e9)


def texts(figure):
    FigureCanvasAgg(figure).draw()
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_two_cards_are_a_question_in_the_picture_and_in_its_words():
    job = memory.Job("qlora", seq=128)
    figure, words = pictures.question("Llama-2-7B", job)
    total = f"{memory.predict('Llama-2-7B', job).bill.total / memory.GB:.1f} GB"
    assert {"?", total} <= set(texts(figure)) and total in words and "on two is the question" in words


def test_the_line_stands_at_what_the_card_holds():
    figure, finding, numbers = pictures.cards({"one": CARD}, card="8")
    assert "a card of 8 GB" in texts(figure) and "8.6 GB" in finding and "one 27.5 GB" in numbers
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [8 * 2**30 / 1e9]


def test_a_published_figure_is_a_diamond_and_a_sentence():
    figure, _, numbers = pictures.computers({"PEFT,\nLlama": HOST}, {"PEFT,\nLlama": 107.0})
    assert [line.get_marker() for line in figure.axes[0].lines] == ["D"]
    assert "131 GB" in texts(figure)
    assert "PEFT, Llama 131.0 GB" in numbers and "Published for PEFT, Llama: 107 GB." in numbers


def test_the_journey_has_five_stations_and_names_them_in_words():
    figure, words = pictures.journey()
    shown = texts(figure)
    for number, (name, _) in enumerate(pictures.STATIONS, 1):
        assert f"{number} {name}" in shown
    assert all(f"{n} " in words for n in (1, 2, 3, 4)) and "reduce-scatter" in words
