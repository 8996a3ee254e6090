"""Text from outside stays the text that it is, wherever it is put: it adds no element and steers nothing."""

import html
import json
import math
import re

import pytest
from hostile import HOSTILE, TERMINAL, UNSEEN
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from lora_lessons.drawing import label
from lora_lessons.outside import in_attribute, in_code, in_html, in_json, in_markdown, in_picture, read_back, visible

markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# texts of what is special to somebody, and of what stands around it
TEXTS = st.text(st.sampled_from("\\`*_{}[]()<>#+-.!|~$&;:/=\"'%@\n\r\t 1ax"), min_size=1, max_size=12)
# how Markdown is built around a text: the source, and the HTML that it is
PLACES = {
    "{}": "<p>{}</p>",
    "*In words:* {}": "<p><em>In words:</em> {}</p>",
    "- name: {}": "<ul><li>name: {}</li></ul>",
    "# a {}": "<h1>a {}</h1>",
    "| a |\n|---|\n| x{}y |": "<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>x{}y</td></tr></tbody></table>",
}


def without_space(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("place", PLACES)
@settings(derandomize=True, deadline=None)
@given(TEXTS)
@example(HOSTILE)
@example("__a b__")
@example("a\r\n\r\nb")
@example("12) x")
@example("    x")
@example("1\t#")
def test_markdown_makes_nothing_of_it(place, text):
    made = markdown.render(place.format(in_markdown(text)))
    made = re.sub(r"</?span>|<br ?/?>", "", made)
    assert without_space(html.unescape(made)) == without_space(PLACES[place].format(visible(text)))


@settings(derandomize=True, deadline=None)
@given(TEXTS)
@example(HOSTILE)
def test_a_code_span_holds_it_and_ends_after_it(text):
    made = markdown.renderInline(f"a {in_code(text)} b")
    if text.strip():
        assert html.unescape(made) == f"a <code>{' '.join(visible(text).split())}</code> b"


@settings(derandomize=True, deadline=None)
@given(TEXTS)
@example(HOSTILE)
def test_html_makes_nothing_of_it_and_it_is_read_back(text):
    assert read_back(in_html(text)) == html.unescape(in_attribute(text)) == visible(text)
    assert re.sub("</?span>", "", in_html(text)).count("<") == 0 and not set(in_attribute(text)) & set("<>\"'")
    assert "$" not in in_html(text) and "\\" not in in_html(text), "a formula cannot begin"


def test_what_is_unseen_is_shown_as_json_would_and_what_spells_a_word_stays():
    assert visible("\x1b[2J\x9b\u202e\ud800\U000e0041") == "\\u001b[2J\\u009b\\u202e\\ud800\\udb40\\udc41"
    assert json.loads(visible(json.dumps(TERMINAL, ensure_ascii=False))) == TERMINAL
    assert not set(visible(TERMINAL)) & UNSEEN and len(UNSEEN) > 10
    # a line's end, a tab, Persian, a family of three, a heart on fire
    for text in (
        "a\r\n\tb",
        "می\u200cخواهم",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\u2764\ufe0f\u200d\U0001f525",
        "it’s",
    ):
        assert visible(text) == text
    assert visible("pass\u200dword") == "pass\\u200dword"


def test_a_picture_sets_no_formula_of_it():
    """A topic such as $\\frac{$ would stop the drawing."""
    figure = Figure()
    ax = figure.subplots()
    label(ax, 0, 0, r"$\frac{$ and 5 $", "black")
    ax.set_yticks([0], [in_picture("$x$")])
    figure.draw_without_rendering()
    assert ax.get_yticklabels()[0].get_text() == r"\$x\$"


def test_json_has_no_nan_and_no_infinity():
    said = in_json({"a": [1.5, math.nan], 2: (math.inf, {"b": -math.inf}), "c": "é"})
    assert json.loads(said) == {"a": [1.5, None], "2": [None, {"b": None}], "c": "é"} and "é" in said
