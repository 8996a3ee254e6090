"""The pictures of lesson 10 show what they are given, and say it in words."""

from lora_lessons.lessons.l10_ship_it import pictures

ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


def test_each_row_is_drawn_from_its_old_place_to_its_new_one():
    (ax,) = pictures.row_order(ORDER).axes
    lines = {tuple(line.get_ydata()) for line in ax.lines if len(line.get_xdata()) == 2}
    assert lines == {(row, there) for there, row in enumerate(ORDER)}
    assert [text.get_text() for text in ax.texts].count("5") == 2, "once in each program"


def test_the_words_name_both_orders_and_every_file():
    assert "0 1 2 3 4 5 6 7, llama.cpp as 0 4 1 5 2 6 3 7" in pictures.row_order_in_words(ORDER)
    files = {"merged, F16": (270.9, 0.0434), "merged, Q8_0": (144.8, 0.792)}
    assert pictures.drift_in_words(files) == (
        "merged, F16: 271 MB, largest difference 0.043. merged, Q8_0: 145 MB, largest difference 0.79."
    )
