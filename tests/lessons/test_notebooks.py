"""The notebooks as a reader meets them: normalised, short cells, outputs stored, every lesson of the same shape."""

import re
import statistics

import nbformat
import pytest

from lora_lessons.course.lesson import lessons, number_of, side_trips
from lora_lessons.course.syllabus import words_seen
from lora_lessons.paths import course_root
from lora_lessons.run import result
from lora_lessons.run.stored import normalise

LESSONS = [pytest.param(nbformat.read(p, 4), id=p.stem) for p in lessons()]
SIDE_TRIPS = [pytest.param(nbformat.read(p, 4), id=p.stem) for p in side_trips()]
EXPERIMENTS = [
    pytest.param(nbformat.read(p, 4), id=p.stem)
    for p in sorted((course_root() / "notebooks" / "experiments").glob("*.ipynb"))
]
WORDS_AT_MOST = 1400
OPEN_AT_MOST = 1000  # words that are not folded away
WORDS_OF_A_SIDE_TRIP = 900
# The museum's halls are lesson 12 gone on: exhibits with exercises, which are as long in a side trip as in a lesson.
# And four side trips were lessons until 0.4.
LONG = ("12_", "05_capacity", "08_faster", "08_many_cards", "09_many_adapters", "10_formats")
HIDDEN = {"source_hidden": True}
# beside JupyterLab's sidebar
COLUMNS_AT_MOST = 100
WIDGET = "application/vnd.jupyter.widget-view+json"
FORBIDDEN = re.compile(r"\b(simply|just|obviously)\b", re.I)


def code(notebook):
    return [c for c in notebook.cells if c.cell_type == "code"]


def prose(notebook):
    """Markdown without code, formulas, comments and markup."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.sub(
        r"<!--.*?-->|<[^>]+>|~~~.*?~~~|```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)", " ", text, flags=re.S
    )


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS, *EXPERIMENTS])
def test_it_is_stored_as_normalise_leaves_it(notebook):
    assert normalise(notebook) == notebook, "saved by another program: python -m workshop readme"


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_a_stored_widget_is_a_picture_that_every_viewer_shows(notebook):
    for output in (o for c in code(notebook) for o in c.outputs):
        data = output.get("data", {})
        assert WIDGET not in data, "its model is gone with the kernel: a page would show an error"
        assert "<img" not in data.get("text/html", ""), "GitHub and others may drop a picture inside HTML"


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_it_has_been_run_without_an_error(notebook):
    outputs = [o for c in code(notebook) for o in c.outputs]
    assert all(c.execution_count for c in code(notebook))
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_the_course_is_imported_before_peft(notebook):
    """It keeps bitsandbytes from warning, in red under a learner's first cell, of a kernel that nobody needs."""
    imported = re.findall(
        r"^\s*(?:from|import) (lora_lessons|lora_tools|peft)\b", "\n".join(c.source for c in code(notebook)), re.M
    )
    assert "peft" not in imported or imported[0] == "lora_lessons"


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_every_picture_has_a_summary_in_words(notebook):
    for cell in code(notebook):
        for i, output in enumerate(cell.outputs):
            if "image/png" in output.get("data", {}):
                assert cell.outputs[i + 1].data["text/markdown"].startswith("*In words:*")


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS, *EXPERIMENTS])
def test_cells_are_short_and_one_holds_the_parameters(notebook):
    lengths = [len([line for line in c.source.splitlines() if line.strip()]) for c in code(notebook)]
    assert statistics.median(lengths) <= 10 and max(lengths) <= 30
    assert not FORBIDDEN.findall(prose(notebook))
    assert sum("parameters" in c.metadata.get("tags", []) for c in notebook.cells) == 1


@pytest.mark.parametrize("notebook", LESSONS)
def test_a_lesson_is_short_and_its_sections_are_numbered_through(notebook):
    assert len(re.findall(r"[A-Za-z]{2,}", prose(notebook))) <= WORDS_AT_MOST
    assert words_seen(notebook) <= OPEN_AT_MOST
    assert (numbers := re.findall(r"^## (\d+) ·", prose(notebook), re.M)) == [str(n + 1) for n in range(len(numbers))]


@pytest.mark.parametrize("notebook", LESSONS)
def test_its_answer_stands_where_the_report_finds_it(notebook):
    assert result.answer(notebook)


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS, *EXPERIMENTS])
def test_lines_fit_beside_a_sidebar(notebook):
    long = [line for c in code(notebook) for line in c.source.splitlines() if len(line) > COLUMNS_AT_MOST]
    assert not long, f"split at a name or a sentence's end: {long}"


@pytest.mark.parametrize("notebook", LESSONS)
def test_it_has_the_shape_of_a_lesson(notebook):
    whole = "\n".join(c.source for c in notebook.cells)
    number = re.match(r"# (\d\d) · .+\?", notebook.cells[0].source)
    assert number, "the title is the lesson's number and its question"
    assert any("image/png" in o.get("data", {}) for c in code(notebook) for o in c.outputs), "it shows a picture"
    for part in ("⏱", "colab-badge", "predict(", "compare(", "\nscorecard(", "Recall", "<details>", "begin("):
        assert part in whole, part


def test_setup_cells_are_one_and_the_same():
    setups = {
        c.source for p in [*LESSONS, *SIDE_TRIPS] for c in code(p.values[0]) if "setup" in c.metadata.get("tags", [])
    }
    assert len(setups) == 1


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_set_up_and_parameters_are_folded_away(notebook):
    for tag in ("setup", "parameters"):
        (cell,) = [c for c in code(notebook) if tag in c.metadata.get("tags", [])]
        assert cell.metadata.get("jupyter") == HIDDEN, f"the {tag} cell is not what the learner came for"
        (kept,) = [c for c in code(normalise(notebook)) if tag in c.metadata.get("tags", [])]
        assert kept.metadata["jupyter"] == HIDDEN


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS])
def test_what_computes_is_on_the_page(notebook):
    """Where a number of the prose is made, a reader sees it made: hidden are set-up and parameters alone."""
    hidden = [c.metadata.get("tags", []) for c in code(notebook) if c.metadata.get("jupyter") == HIDDEN]
    assert [{"setup", "parameters"} & {*tags} for tags in hidden] == [{"setup"}, {"parameters"}]


TEMPLATE = pytest.param(nbformat.read(course_root() / "workshop" / "template" / "lesson.ipynb", 4), id="template")


@pytest.mark.parametrize("notebook", [*LESSONS, *SIDE_TRIPS, TEMPLATE])
def test_what_a_reader_of_the_web_need_not_see_is_tagged_as_myst_reads_it(notebook):
    known = {"remove-cell", "remove-input", "remove-output", "hide-cell", "hide-input", "hide-output"}
    for cell in code(notebook):
        tags = set(cell.metadata.get("tags", []))
        assert known & tags == ({"remove-cell"} if tags & {"setup", "parameters"} else set()), cell.source


# ---- side trips: notebooks/deeper/ ----


def problems_of_a_side_trip(notebook, stem):
    """What a side trip must have and has not. Its rules are fewer: a prediction,
    exercises and minutes are not asked for."""
    sources = [c.source for c in notebook.cells]
    whole = "\n".join(sources)
    order = [
        next((n for n, c in enumerate(notebook.cells) if tag in c.metadata.get("tags", [])), None)
        for tag in ("setup", "parameters")
    ]
    begins = next((n for n, s in enumerate(sources) if f'begin("{stem}")' in s), None)
    yield from ["its title is missing"] * (not re.match(r"# \S", sources[0]))
    yield from ["the badge is missing"] * ("colab-badge" not in sources[0])
    if None in order or begins is None or not order[0] < order[1] < begins:
        yield "set-up, parameters and begin() come first, in this order"
    lesson = rf"\]\(\.\./{number_of(stem)}_\w+\.ipynb\)"
    yield from ["it does not link back to its lesson"] * (not re.search(lesson, whole))
    most = WORDS_AT_MOST if stem.startswith(LONG) else WORDS_OF_A_SIDE_TRIP
    yield from ["too many words"] * (len(re.findall(r"[A-Za-z]{2,}", prose(notebook))) > most)


@pytest.mark.parametrize("notebook, path", [pytest.param(nbformat.read(p, 4), p, id=p.stem) for p in side_trips()])
def test_a_side_trip_is_short_runs_alone_and_links_back(notebook, path):
    assert list(problems_of_a_side_trip(notebook, path.stem)) == []
    for lesson in re.findall(r"\]\((\.\./\w+\.ipynb)\)", "\n".join(c.source for c in notebook.cells)):
        assert (path.parent / lesson).is_file(), lesson


def test_stems_are_unique():
    stems = [path.stem for path in [*lessons(), *side_trips()]]
    assert len(set(stems)) == len(stems), "baselines and reports are named by them"
