"""The glossary: true to the lessons that it names, and calm where it hints."""

import re

import nbformat
import pytest
from prose_checks import free_numbers
from sources import texts

from lora_lessons.course.lesson import lessons, notebook_of, place_of, side_trips
from workshop.site import glossary

TERMS = glossary.terms()


def read_as_prose(markdown):
    """Markdown without listings, formulas, addresses and sources; code within a sentence is read."""
    return re.sub(r"<!--.*?-->|~~~.*?~~~|```.*?```|\$\$.*?\$\$|\]\([^)]*\)", " ", markdown, flags=re.S)


def test_a_terms_lesson_uses_it_in_its_prose():
    said = {}
    for lesson in {term.lesson for term in TERMS}:
        said[lesson] = "\n".join(map(read_as_prose, texts(nbformat.read(notebook_of(lesson), 4))))
    assert [term.name for term in TERMS if not is_said(term, said[term.lesson])] == []


def is_said(term, text):
    return any(re.search(rf"(?<!\w){re.escape(spelled)}(?!\w)", text, re.I) for spelled in term.spelled)


def test_terms_stand_in_the_order_of_the_alphabet_and_each_once():
    names = [term.name.casefold() for term in TERMS]
    order = [re.sub(r"[^\w+]", "", name).replace("δ", "zz") for name in names]
    assert order == sorted(order) and len(set(names)) == len(names)
    assert 60 <= len(TERMS) <= 110
    assert len({term.anchor for term in TERMS}) == len(TERMS)
    spelled = [one for term in TERMS for one in term.spelled]
    assert len(set(spelled)) == len(spelled), "two terms claim one spelling"


def test_a_term_is_explained_in_two_sentences_without_free_numbers():
    for term in TERMS:
        assert 1 <= len(re.findall(r"[.!?](?= [A-Z0-9α]|$)", term.means)) <= 2, term
        assert term.means.endswith(".") and free_numbers(term.means) == [] and "<" not in term.means, term
        assert not re.search(r"\b(simply|just|obviously)\b", term.means), term


def test_the_page_has_every_term_with_a_link_to_its_lesson():
    page = glossary.page()
    for term in TERMS:
        assert f'id="{term.anchor}"' in page and f"lessons/{place_of(term.lesson)}.html" in page


TEXT = """# The rank of a matrix

The `rank` of $rank$ and **low rank**, [rank](rank.md#rank) and <b title="rank">a</b> rank-deficient one.

| rank |
|---|
| rank |

~~~text
rank
~~~

- A sentence on the
  rank of W, and again its rank.
"""


def test_only_the_first_plain_word_is_linked():
    seen = set()
    made = glossary.hinted(TEXT, seen, "09_adapters")
    assert seen == {"rank"} and made.count("<a ") == 1
    link = re.search(r"  <a (.*)>rank</a> of W, and again its rank\.", made)[1]
    assert link.startswith('class="term" href="../glossary.html#term-rank" data-hint="How many independent')
    assert re.sub(r"<a class=[^>]*>|</a>", "", made) == TEXT
    assert glossary.hinted("The rank.", seen, "09_adapters") == "The rank."


def test_a_lesson_does_not_link_what_it_explains_nor_a_cell_what_it_sets_in_bold():
    assert glossary.hinted("The rank.", set(), "01_low_rank") == "The rank."
    assert glossary.hinted("The **rank** is r. The rank is small.", set(), "09_adapters").count("<a ") == 0
    assert "../../glossary.html" in glossary.hinted("The rank.", set(), "deeper/10_gptq_and_awq")


def test_the_longest_spelling_wins_and_tags_of_links_are_left_alone():
    made = glossary.hinted('The held-out loss, LoRA+ and <a href="x">the loss</a>.', set(), "12_bug_museum")
    assert re.findall(r'class="term" [^>]*>([^<]+)<', made) == ["held-out loss", "LoRA+"]


# Words that once got the hint of a term that they do not mean there: the page, and the words with the link in brackets.
MISREAD = [
    ("10_ship_it", "rotary [embedding]"),
    ("10_ship_it", "Write the [step] from the picture"),
    ("10_ship_it", "cannot [rank] them"),
    ("10_ship_it", "So the [step] may be negative"),
    ("deeper/10_gptq_and_awq", "[α] (not LoRA's)"),
    ("deeper/10_gptq_and_awq", "Write that [step] for one row"),
    ("deeper/08_many_cards", "Do two [ranks] learn what one process does"),
    ("11_your_own", "Compare the list of [labels]"),
    ("deeper/09_many_adapters", "one [step], which gives every row a token"),
    ("deeper/09_merging", "of a [step] between two marks"),
    ("deeper/09_merging", "a hundred of them by 4% of a [step]"),
    ("deeper/12_text_and_loss", "so the data [step] must"),
    ("deeper/12_text_and_loss", "Four answers show a [direction]"),
]


@pytest.mark.parametrize(("place", "words"), MISREAD, ids=[f"{place}: {words}" for place, words in MISREAD])
def test_a_word_that_means_something_else_is_not_explained(place, words):
    seen, shown = set(), []
    for text in texts(nbformat.read(notebook_of(place.rpartition("/")[2]), 4)):
        made = re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"[\1]", glossary.hinted(text, seen, place))
        shown.append(" ".join(re.sub(r"<!--.*?-->|[*`]", "", made).split()))
    page = "\n".join(shown)
    assert re.sub(r"[][]", "", words) in re.sub(r"[][]", "", page), "the lesson says it otherwise now: mend this list"
    assert words not in page


def test_every_exception_is_of_use():
    """A phrase that no lesson says, or a lesson that has no such word, is left over from a text that has changed."""
    pages = {}
    for path in [*lessons(), *side_trips()]:
        pages[path.stem] = " ".join(" ".join(texts(nbformat.read(path, 4))).replace("*", "").split()).casefold()
    for term in TERMS:
        for phrase in term.other:
            assert any(phrase.casefold() in page for page in pages.values()), phrase
        for stem in term.elsewhere:
            assert any(one.casefold() in pages[stem] for one in term.spelled), (term.name, stem)


def test_prose_stays_calm():
    """A score of links on a page, three in a cell; and nothing of a lesson is lost to them."""
    for path in [*lessons(), *side_trips()]:
        seen, place = set(), place_of(path.stem)
        for text in texts(nbformat.read(path, 4)):
            made = glossary.hinted(text, seen, place)
            assert made.count('<a class="term"') <= 3
            assert re.sub(r'<a class="term"[^>]*>([^<]*)</a>', r"\1", made) == text
        assert len(seen) <= 20


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_lines_may_end_as_they_do_elsewhere(end):
    text = "a\nb\nc The adapter is.\n\nAn adapter and its rank."
    assert glossary.hinted(text.replace("\n", end), set(), "x") == glossary.hinted(text, set(), "x") != text


def test_a_damaged_glossary_says_what_to_do(course):
    for text in ("[a\n", "[a]\nmeans = 'b'\n", "a = 1\n"):
        (course / "data" / "glossary.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="glossary.toml is damaged .*restore it from git"):
            glossary.terms()
