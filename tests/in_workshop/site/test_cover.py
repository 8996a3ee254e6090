"""The front page: for whom, how long, and each verdict with its reason."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lora_lessons.course.claims import Card
from lora_lessons.course.lesson import notebook_of
from workshop.readme import took
from workshop.site import front


def test_what_one_looks_up_is_linked_in_the_text():
    """In a low window these pages lie below the fold of the sidebar."""
    text = front.page({"00_start_here": new_notebook()}, live=False)
    for page in ("claims.md", "lessons/symptoms.md", "glossary.md", "numbers.md"):
        assert f"]({page})" in text.partition("## ")[0]


def test_the_front_page_says_for_whom_it_is_and_how_long_it_takes():
    exercise = new_markdown_cell("### Exercise 01.1 · ★★☆ · 80 minutes · by hand\n\n" + "word " * 10_000)
    side_trip = new_notebook(cells=[new_markdown_cell("word " * 50_000)])
    page = front.page({"01_low_rank": new_notebook(cells=[exercise]), "deeper/06_never_rounded": side_trip}, live=False)
    made = " ".join(page.split())
    minutes = int(took(notebook_of("01_low_rank"))[0])
    assert "need not have trained a model before" in made
    assert f"1.1 hours to read and look, 1.3 hours for the exercises, and {minutes} minute" in made
    assert f"about {round((67 + 80 + minutes) / 60)} hours" in made
    assert "[**Start with lesson 00**](lessons/01_low_rank.ipynb)" in made and "while you watch" not in made


def test_the_front_page_gives_each_verdict_with_its_reason():
    said = "4-bit is right: 4 bits. INT4 is not: the marks are quantiles. A third sentence."
    card = Card("G14", "4-bit (INT4)", "corrected", said).html()
    cell = new_code_cell("verdict()", outputs=[new_output("display_data", {"text/html": card})])
    made = front.page({"06_quantization": new_notebook(cells=[cell])}, live=False)
    assert "the CraftRigs page says" in made and "INT4 is not: the marks are quantiles." in made
    assert "corrected</span> 4-bit is right" in made and "A third sentence" not in made
    assert 'href="lessons/06_quantization.html#claim-G14"' in made
