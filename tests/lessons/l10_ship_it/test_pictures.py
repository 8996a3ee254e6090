"""The pictures of lesson 10 show what they are given, and say it in words."""

from lora_lessons.drawing import BLUE, GREY, VERMILION
from lora_lessons.lessons.l10_ship_it import pictures

ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


def test_each_row_is_drawn_from_its_old_place_to_its_new_one():
    (ax,) = pictures.row_order(ORDER).axes
    lines = {tuple(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert lines == {(row, there) for there, row in enumerate(ORDER)}
    assert [text.get_text() for text in ax.texts].count("5") == 2, "once in each program"


def test_the_words_name_both_orders():
    assert "0 1 2 3 4 5 6 7, llama.cpp as 0 4 1 5 2 6 3 7" in pictures.row_order_in_words(ORDER)


def test_a_wrong_file_is_vermilion_and_its_numbers_are_said():
    off = {"right": 5e-5, "rows not reordered": 2.5, "no adapter": 21.0}
    figure, finding, numbers = pictures.gaps(off, {"right": 12, "rows not reordered": 11, "no adapter": 3}, 12, 1e-3)
    (ax,) = figure.axes
    assert [line.get_color() for line in ax.lines] == [BLUE, VERMILION, GREY]
    assert "1 file is" in finding
    assert "rows not reordered: largest difference 2.5, same token 11 of 12." in numbers
