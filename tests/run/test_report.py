"""The report of a run: what it finds in executed notebooks, and what it opens with."""

import re

import nbformat
import pytest
from hostile import TERMINAL, UNSEEN
from markupsafe import escape

from lora_lessons.course import claims
from lora_lessons.course.claims import Card, read_card
from lora_lessons.course.records import Record
from lora_lessons.run import report, result
from lora_lessons.run.baselines import Deviation
from lora_lessons.run.result import DEVIATES, FAILED, INTERRUPTED, OK, CellError, LessonResult

PNG = "iVBORw0KGgo="
ABOUT = {
    "date": "2026-01-01",
    "machine": "a machine",
    "profile": "quick",
    "parameters": {},
    "seconds": 3.0,
    "versions": {"torch": "2.8"},
}
ABOUT |= {"not_run": ["08_faster"]}
ANSWER = """### Recall

1. Is this **the answer**? No.

## The answer

A and B hold 2.8%<!--record share--> of *W*, and [Hu et al.](https://example.org) say `r = 8` is enough for $W_q$.

<details><summary>More</summary>

Not this.

</details>"""


def book(*cells):
    """A notebook with a title, code cells that show what is given, and an answer."""
    new = nbformat.v4
    made = [
        new.new_code_cell("x", outputs=[new.new_output("display_data", data) for data in outputs]) for outputs in cells
    ]
    return new.new_notebook(
        cells=[new.new_markdown_cell("# 02 · What is *small*?\n\nA promise."), *made, new.new_markdown_cell(ANSWER)]
    )


def lesson_result(lesson, status=OK, **more):
    return LessonResult(lesson, status, 2.0, 10**9, 3, **more)


def test_figures_and_cards_come_from_the_outputs():
    card = Card("G07", "5 < 4", claims.CORRECTED, "No: 5 > 4.")
    outputs = [
        {"image/png": PNG + "\n", "text/plain": "<Figure>"},
        {"text/markdown": "*In words:* it falls."},
        {"image/png": PNG},
        {"text/html": card.html()},
        {"text/html": "<div><b>Exercise</b></div>"},
    ]
    assert list(result.figures(book(outputs))) == [(PNG, "it falls."), (PNG, "")]
    assert list(result.cards(book(outputs))) == [card]
    assert (
        list(result.figures(None)) == list(result.cards(None)) == [] and result.title(None) == result.answer(None) == ""
    )


@pytest.mark.parametrize("said", [*claims.EDGES, claims.NOT_TESTED, claims.DISAGREES, claims.OPEN])
def test_a_card_is_read_back_as_it_was_shown(said):
    card = Card("G01", "it's “<small>” & cheap", said, "1 < 2. And: <b>3</b>")
    assert read_card(f"<p>{card.html()}</p>") == card
    assert read_card("<div>Verdict: none</div>") is None


def test_title_and_answer_are_words():
    assert result.title(book()) == "02 · What is small?"
    assert result.answer(book()) == "A and B hold 2.8% of W, and Hu et al. say r = 8 is enough for W_q."


def test_it_opens_with_the_verdicts_each_in_its_colour_with_what_decided_it():
    cards = [
        Card("G01", "small <matrices>", verdict, f"because {verdict} & so", "seen at 135M")
        for verdict in (*claims.EDGES, claims.NOT_TESTED, claims.DISAGREES)
    ]
    ran = lesson_result("02_lora_layer", notebook=book([{"text/html": card.html()} for card in cards]))
    page = report.as_html([ran], ABOUT)
    rows = re.findall(
        (
            r'<tr class="(\w+)"><td>G01</td><td><q>small &lt;matrices&gt;</q></td>\n<td '
            r'class="said"><span class="pill">([^<]+)'
        ),
        page,
    )
    assert rows == [
        ("holds", "holds"),
        ("condition", "holds with a condition"),
        ("corrected", "corrected"),
        ("untested", "not tested"),
        ("corrected", "not what we saw here"),
    ]
    assert "because holds &amp; so<br><small>seen at 135M</small></td>" in page and page.index(
        "because holds"
    ) < page.index("The lessons") < page.index("torch 2.8")
    assert '<a href="02_lora_layer.ipynb">lesson 02</a>' in page, "a claim leads to the notebook"


def test_the_verdicts_stand_in_the_order_of_the_claims_below_their_count():
    verdicts = {"01_a": ("G05", claims.HOLDS), "02_b": ("G01", claims.CORRECTED), "03_c": ("G05", claims.HOLDS)}
    ran = [
        lesson_result(lesson, notebook=book([{"text/html": Card(id, "s", said, "t").html()}]))
        for lesson, (id, said) in verdicts.items()
    ]
    page = report.as_html(ran, ABOUT)
    rows = re.findall(r"<tr class=\"\w+\"><td>(G\d+)</td>.*?>lesson (\d+)</a>", page, re.S)
    assert rows == [("G01", "02"), ("G05", "01"), ("G05", "03")]
    tally = re.search(r'<p class="tally">(.*?)</p>', page)[1]
    assert re.sub("<[^>]+>", "", tally) == "3 verdicts: 2 holds 1 corrected" and page.index(tally) < page.index("G01")


def test_it_names_every_lesson_leaves_pictures_to_the_notebooks_and_folds_the_records_beside_their_bands():
    records = {"loss": Record("loss", 1.5, "nats")}
    ran = lesson_result("02_lora_layer", notebook=book([{"image/png": PNG}]), records=records)
    page = report.as_html([ran], ABOUT)
    assert "<td>02 · What is small?</td>" in page and "<td>08_faster</td><td>not run</td>" in page
    assert '<a href="02_lora_layer.ipynb">' in page and PNG not in page
    table = page.partition("<summary>02 · What is small?: 1 record</summary>")[2]
    assert '<td><code>loss</code></td><td class="n">1.5</td><td>nats</td><td></td><td>no baseline</td>' in table


def test_what_failed_comes_first_with_its_cell_and_what_to_do():
    error = CellError(4, "x = <y>", "ValueError", "no <b>", "Traceback <1>\n\nmore")
    failed = lesson_result("03_junk", FAILED, error=error, notebook=book())
    off = lesson_result("04_peft", DEVIATES, deviations=[Deviation("x", "x is 2; expected 1.")], notebook=book())
    stopped = lesson_result("05_other", INTERRUPTED)
    unread = lesson_result("06_unread", FAILED, error=CellError(0, "", "ValueError", "not readable"))
    page = report.as_html([lesson_result("02_lora_layer", notebook=book()), failed, off, stopped, unread], ABOUT)
    first = page[page.index("What did not go as it should") : page.index("The lessons")]
    assert "03_junk failed in cell 4.</b>\nIt begins <code>x = &lt;y&gt;</code>" in first
    assert "<b>ValueError</b>: no &lt;b&gt;" in first and "Traceback &lt;1&gt;\n\nmore" in first
    assert "x is 2; expected 1." in first and "05_other was interrupted" in first and "02_lora_layer" not in first
    assert "06_unread failed before its first cell" in first and "06_unread.ipynb" not in page
    assert 'class="claims"' not in page
    for lesson in ("03_junk", "04_peft", "05_other", "06_unread"):
        assert f"<code>lora-lessons run {lesson}</code>" in first, "each says what to do"


def test_a_notebook_s_name_is_no_address_and_does_nothing_else_in_the_command_to_paste():
    page = report.as_html([lesson_result("javascript:alert(1)?#", notebook=book())], ABOUT)
    assert re.findall(r'href="([^"]*alert[^"]*)"', page) == ["javascript%3Aalert%281%29%3F%23.ipynb"]
    name = "my lesson; touch $(this)"
    page = report.as_html([lesson_result(name, FAILED, error=CellError(0, "", "ValueError", "no"))], ABOUT)
    assert f"<code>lora-lessons run {escape(repr(name))}</code>" in page
    failed = lesson_result("03_junk", FAILED, error=CellError(1, TERMINAL, TERMINAL, TERMINAL, TERMINAL))
    page = report.as_html(
        [failed, lesson_result(TERMINAL)], ABOUT | {"machine": TERMINAL, "parameters": {"x": TERMINAL}}
    )
    assert not UNSEEN & set(page), "no character is obeyed in a page either"


def test_the_outcome_is_a_sentence():
    judged, off = {"records": {}}, [Deviation("x", "x is off")]
    good, other = lesson_result("00_a", baseline=judged), lesson_result("01_b", DEVIATES, deviations=off)
    assert report.outcome([good, good]) == "All 2 notebooks measured what was recorded."
    assert report.outcome([lesson_result("00_a")]) == "1 notebook ran to the end."
    assert report.outcome([good, other, lesson_result("02_c", FAILED)]) == (
        "1 of 3 notebooks ran as they should. 01_b measured something else than was recorded. "
        "02_c stopped with an error."
    )
