"""Every bound number leads to a place that is there, and what its hint says is what was recorded."""

import html
import re
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from sources import texts

from lora_lessons.course import prose, published
from lora_lessons.course.lesson import place_of
from lora_lessons.course.records import show_value
from lora_lessons.run.baselines import read_baseline
from workshop.site import number_pages
from workshop.site.build import stored
from workshop.site.number_pages import anchor_of, tells

NOTEBOOKS = stored()
LINK = re.compile(
    r'<a class="bound" href="(?P<href>[^"]*)" data-hint="(?P<hint>[^"]*)"(?: id="[^"]*")?>(?P<words>[^<]*)</a>'
)


def linked(markdown, place="01_low_rank"):
    return number_pages.linked(markdown, place, set())


@pytest.fixture(scope="module")
def pages():
    return number_pages.pages(NOTEBOOKS)


@pytest.fixture(scope="module")
def places(pages):
    """Every place on the pages of numbers that can be led to."""
    return {
        f"{docname}.html#{anchor}" for docname, text in pages.items() for anchor in re.findall(r'id="([^"]+)"', text)
    }


def the_hint(markdown, stem="01_low_rank"):
    (link,) = LINK.finditer(linked(markdown, stem))
    return link["href"], html.unescape(link["hint"]).split("\n")


@pytest.mark.parametrize("place", NOTEBOOKS)
def test_every_bound_number_is_a_link_to_a_place_that_is_there(place, places):
    """Also as a page is read: inside bold words, lists, tables and folded parts no mark of a link is left over."""
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
    for text in texts(NOTEBOOKS[place]):
        made = linked(text, place)
        links = [match for match in LINK.finditer(made) if match["href"]]
        assert len(links) == sum(map(tells, prose.quoted_numbers(text)))
        assert LINK.sub(lambda link: link["words"], made) == prose.without_sources(text)
        assert parser.render(made).count('<a class="bound"') == len(links)
        for link in links:
            up, target = re.fullmatch(r"((?:\.\./)+)(.*)", html.unescape(link["href"])).groups()
            assert up == "../" * (1 + place.count("/")) and unquote(target) in places, target


def test_a_record_says_its_value_machine_seeds_and_range():
    href, lines = the_hint("rose from **42.8<!--record perplexity.intact-->**")
    baseline = read_baseline("01_low_rank")
    entry = baseline["records"]["perplexity.intact"]
    assert href == "../numbers/01_low_rank.html#perplexity.intact"
    assert lines[0] == f"perplexity.intact: {show_value(entry['expected'])}"
    assert baseline["date"] in lines[1] and "lesson 01" in lines[1] and "2 cores" in lines[1]
    assert lines[2].endswith(f"A second machine gave {show_value(entry['elsewhere'][0])}.")
    assert lines[3] == f"The course’s tests allow {entry['low']:.2f} to {entry['high']:.2f}."


def test_seeds_that_differ_are_named_and_what_must_be_equal_is_said_to_be():
    _, lines = the_hint("3<!--record kinds.survive-->")
    assert lines[0].startswith("kinds.survive: 3 of 7 kinds") and lines[3] == "The course’s tests allow nothing else."
    stem, name, entry = next(
        (place.rpartition("/")[2], name, entry)
        for place in NOTEBOOKS
        for name, entry in read_baseline(place.rpartition("/")[2])["records"].items()
        if len(set(map(show_value, entry["seeds"]))) == 3
    )
    _, lines = the_hint(f"1<!--record {stem}:{name}-->")
    assert all(show_value(value) in lines[2] for value in entry["seeds"]) and " gave the same" not in lines[2]


def test_a_volatile_record_is_not_held_to_a_range():
    name = next(iter(read_baseline("09_many_adapters")["volatile"]))
    _, lines = the_hint(f"1<!--record {name}-->", "deeper/09_many_adapters")
    assert lines[2].startswith("It depends on the machine") and len(lines) == 3


def test_another_lessons_record_leads_to_its_page():
    href, lines = the_hint("6.3<!--record 08_qlora_7b:cpu_7b.peak-->", "deeper/10_gptq_and_awq")
    assert href == "../../numbers/08_qlora_7b.html#cpu_7b.peak" and "lesson 08" in lines[1]


def test_a_published_figure_names_its_source_and_says_that_nobody_here_measured_it():
    href, lines = the_hint("5.68<!--published svd_llm.intact-->")
    assert href == "../numbers/published.html#svd_llm.intact"
    assert lines[0] == "Not measured in this course."
    assert "Wang et al. 2024" in lines[1] and lines[2] == "https://arxiv.org/abs/2403.07378"
    whole, _ = the_hint("90–99<!--published glossary.cut_percent-->")
    end, _ = the_hint("99<!--published glossary.cut_percent.high-->")
    assert whole == end == "../numbers/published.html#glossary.cut_percent"


def test_an_arithmetic_is_shown_with_its_parts():
    _, lines = the_hint("48%<!--calc exp(10_gptq_and_awq:table.rtn) - 1-->")
    assert re.fullmatch(r"Worked out: exp\(0\.3\d+\) − 1", lines[0]), "with values in place of names"
    assert re.fullmatch(r"table\.rtn = [\d.]+ nats .*, recorded by lesson 10", lines[1])
    _, lines = the_hint("0.1<!--calc published:qlora.table_4.nf4_double - published:qlora.table_4.bf16-->")
    assert lines[2].startswith("qlora.table_4.bf16 = 53.0: Dettmers"), "with the digits that were printed"
    _, lines = the_hint("1<!--calc lesson minutes-->")
    assert lines == [line for line in lines if "seconds" in line] and len(lines) == 1


def test_no_reader_meets_a_module_of_python_or_a_file_of_json(pages):
    """A number set in the code is told by its name in words and its lesson."""
    _, lines = the_hint("15<!--calc 2 * lora_lessons.lessons.l09.widget.HIGHEST * file.persona-->", "09_adapters")
    assert re.fullmatch(r"Worked out: 2 × “highest” × 4\.\d+", lines[0])
    assert lines[1] == "“highest” is a number set in the code of lesson 09."
    for place, notebook in NOTEBOOKS.items():
        for text in texts(notebook):
            for link in LINK.finditer(linked(text, place)):
                hint = html.unescape(link["hint"])
                assert not re.search(r"lora_lessons\.|measurements[:/]|\b1e\d", hint), hint
    shown = [re.sub(r"<[^>]+>", "", page) for page in pages.values()]
    assert [page for page in shown if re.search(r"lora_lessons\.|measurements[:/]", page)] == []


def test_a_record_leads_to_the_section_that_quotes_it_first(pages):
    """And, where that is another one, also to the section that recorded it."""
    led_to = [
        (place, anchor)
        for place in NOTEBOOKS
        for anchor in re.findall(r'#(quoted-[^"]+)"', pages.get(f"numbers/{place.rpartition('/')[2]}", ""))
    ]
    assert len(led_to) > 20
    made = {}
    for place, notebook in NOTEBOOKS.items():
        seen = set()
        made[place] = "".join(number_pages.linked(text, place, seen) for text in texts(notebook))
    for place, anchor in led_to:
        assert made[place].count(f'id="{anchor}"') == 1


@pytest.mark.parametrize("what", ["9/10", "1 - 0.05", "sqrt(1/8)", "4*4", "2**-24", "exp(1)"])
def test_what_one_plain_operation_gives_is_no_link(what):
    assert linked(f"about 90%<!--calc {what}--> of it") == "about 90% of it"


@pytest.mark.parametrize("what", ["4 + 32/64", "1 - kinds.q_rise", "lesson minutes"])
def test_an_arithmetic_of_more_than_that_is_one(what):
    assert the_hint(f"4.5<!--calc {what}-->")


def test_a_range_is_one_link_and_a_unit_belongs_to_it():
    text = "A cut of 90–99<!--published glossary.cut_percent-->% and 3.2 %<!--record kinds.q_rise--> more"
    assert [link["words"] for link in LINK.finditer(linked(text))] == ["90–99", "3.2 %"]


def test_a_heading_keeps_its_number_as_a_word():
    made = linked("## Only 3<!--record kinds.survive--> of 7\n\n3<!--record kinds.survive-->")
    assert made.startswith("## Only 3 of 7\n\n<a ")


def test_a_hint_leaves_the_markdown_around_it_alone():
    made = linked('| `a` | 8<!--code x["`$|{}`"]--> $x$ |')
    assert not re.search(r'="[^"]*[`$|{}][^"]*"', made)
    (link,) = LINK.finditer(made)
    assert html.unescape(link["hint"]).endswith(': x["`$|{}`"]'), "whole, with its quotation marks"


def test_a_number_from_nowhere_is_an_error():
    for text in (
        "1<!--record no.such-->",
        "1<!--record 99_none:a-->",
        "1<!--published no.such-->",
        "1<!--calc 2 * no.such-->",
    ):
        with pytest.raises(KeyError):
            linked(text)


def test_a_lesson_has_one_table_with_each_of_its_records_and_the_cell_that_measured_it(pages):
    cells = {cell.id for notebook in NOTEBOOKS.values() for cell in notebook.cells}
    for place in NOTEBOOKS:
        stem = place.rpartition("/")[2]
        baseline, page = read_baseline(stem), pages[f"numbers/{stem}"]
        known = {**baseline["records"], **baseline["volatile"]}
        assert baseline["machine"].replace("(R)", "") in page and baseline["date"] in page
        seeds = max((len(entry["seeds"]) for entry in baseline["records"].values()), default=1)
        assert f"It was run with {f'{seeds} seeds' if seeds > 1 else 'one seed'}" in page
        assert page.count("<table") == 1
        rows = re.findall(r"<tr.*?</tr>", page)[1 : len(known) + 1]
        for (name, entry), row in zip(known.items(), rows, strict=True):
            assert f'id="{name}"' in row and f"../lessons/{place_of(stem)}.html#cell-" in row, name
            assert re.search(r'#cell-([^"]+)"', row)[1] in cells
            assert ("depends on the machine" in row) == ("seeds" not in entry)
            value = f"{show_value(entry['expected' if 'seeds' in entry else 'value'])} {entry['unit']}".strip()
            assert f'data-label="value"><div>{html.escape(value)}</div>' in row, name


def test_the_table_has_what_is_worked_out_or_stands_in_the_code_and_where_it_is_quoted(pages):
    for place, notebook in NOTEBOOKS.items():
        rows = {
            re.search(r'id="([^"]+)"', row)[1]: row
            for row in re.findall(r"<tr.*?</tr>", pages[f"numbers/{place.rpartition('/')[2]}"])[1:]
        }
        quoted = []
        without_headings = re.sub(r"^#.*$", "", "\n".join(texts(notebook)), flags=re.M)
        prose.with_sources(without_headings, lambda one, reads: quoted.append((one, reads)) or reads)  # noqa: B023
        firsts = {one.what: (one, reads) for one, reads in reversed(quoted)}
        for one, reads in firsts.values():
            if one.kind in ("calc", "code") and tells(one):
                row = rows[anchor_of(f"{one.kind}-{one.what}")]
                assert f'data-label="value"><div>{reads}</div>' in row, one.what
                assert ("Worked out." if one.kind == "calc" else "It stands so in the lesson’s code.") in row
                assert f'#{anchor_of(f"quoted-{one.kind}-{one.what}")}"' in row, "it leads to the words that quote it"


def test_the_page_of_published_figures_has_every_row_under_its_source(pages):
    page = pages["numbers/published"]
    for row, value in published.figures().items():
        assert f'id="{anchor_of(row)}"' in page
        assert f">{published.as_printed(value)}<" in page
        assert html.escape(published.about(row)["source"]) in page
    assert page.count("<table") == len(published.groups())


def test_a_page_says_of_which_run_it_is_and_has_no_minus_nothing_no_two_places_of_one_name_and_no_gap_that_ends_a_table(
    pages,
):
    for docname, page in pages.items():
        assert docname == "numbers/published" or "of another run" in page, docname
        assert not re.search(r">-0 to|to -0<", page), docname
        anchors = re.findall(r'id="([^"]+)"', page)
        assert len(set(anchors)) == len(anchors), docname
        for table in re.findall(r"<table.*?</table>", page, re.S):
            assert "\n\n" not in table
