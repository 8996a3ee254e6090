"""Which stored outputs are compared: all, unless a cell says why another run or machine shows something else."""

import copy
import re

import pytest
from nbval_compares import IGNORE, REASONS, frame
from sources import read

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.records import MIME, Record, Table, show_value
from lora_lessons.run.baselines import read_baseline

LESSONS = [p.stem for p in [*lessons(), *side_trips()]]
# What must stand in a cell, or above it, for each reason.
TRAINS = re.compile(r"\btrain\w*\(|\bteach\(|sweep\.run\(|backward\(\)")
KEEPS = re.compile(r'newest_folder\("|my_folder\(|\.keep\(\)')
ROUNDED_OR_TIMED = re.compile(r"\d\.\d|\d (?:s|GB|MB)\b|time: .*\d%")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def text(cell):
    """Everything that a cell shows, in words."""
    shown = [output.get("text", "") for output in cell.outputs]
    for output in cell.outputs:
        shown += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return re.sub(r"base64,[\w+/=]+", "", "\n".join("".join(part) for part in shown))


def shown_records(cell):
    """The names of the records that a cell shows: as its own, or in a table of all."""
    own = [record["name"] for output in cell.outputs for record in output.get("data", {}).get(MIME, [])]
    return {*own, *re.findall(r"<code>([\w.]+)</code>", text(cell))}


def varying(lesson):
    """The lesson's records whose value, as it is shown, is another with another seed or on another machine."""
    baseline = read_baseline(lesson)
    for name, entry in baseline["records"].items():
        if len({show_value(value) for value in [*entry["seeds"], *entry.get("elsewhere", [])]}) > 1:
            yield name
    yield from baseline.get("volatile", {})


def problems(lesson, notebook):
    """What is wrong with the tags that decide which outputs are compared."""
    cells, volatile, above = code(notebook), set(read_baseline(lesson).get("volatile", {})), ""
    vary = set(varying(lesson))
    for n, cell in enumerate(cells):
        above += f"{cell.source}\n"
        reasons = [tag for tag in tags(cell) if tag in REASONS]
        if "nbval" in cell.source.lower() or [tag for tag in tags(cell) if "nbval" in tag and tag != IGNORE]:
            yield f"cell {n} tells nbval something else than {IGNORE}"
        if (IGNORE in tags(cell)) != (len(reasons) == 1) or len(reasons) > 1:
            yield f"cell {n} is exempt and says why by one tag of {REASONS}, or neither: {tags(cell)}"
        if volatile & shown_records(cell) and IGNORE not in tags(cell):
            yield f"cell {n} shows {volatile & shown_records(cell)}, which are volatile: exempt it"
        because = {
            # without a precision the base is loaded in the fastest one,
            # and in 16 bits each processor rounds its own way
            "varies-machine": shown_records(cell) & vary
            or ROUNDED_OR_TIMED.search(text(cell))
            or "models.load()" in cell.source,
            "varies-trained": TRAINS.search(above),
            "varies-kept": KEEPS.search(above),
        }
        for reason in reasons:
            if not (because[reason] and text(cell).strip()):
                yield f"cell {n} is exempt as {reason}, and nothing in it varies so"


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_cell_is_compared_unless_it_shows_what_varies(lesson):
    assert list(problems(lesson, read(lesson))) == []


def test_few_cells_are_exempt():
    """A fifth of those that show something; whoever exempts more must find out why first."""
    shown = [cell for lesson in LESSONS for cell in code(read(lesson)) if cell.outputs]
    assert 0 < sum(IGNORE in tags(cell) for cell in shown) <= 0.23 * len(shown)


def test_an_exempt_verdict_is_still_compared_by_its_label_and_its_words():
    exempt = [cell for cell in code(read("03_train_lora")) if IGNORE in tags(cell) and "verdict(" in cell.source]
    (cell,) = exempt
    right = frame(cell.outputs)
    for before, after in (("Verdict: holds with a condition", "Verdict: holds"), ("it nearly is", "it is not")):
        wrong = copy.deepcopy(cell.outputs)
        for output in wrong:
            output.data["text/html"] = output.data["text/html"].replace(before, after)
        assert wrong != cell.outputs and frame(wrong) != right, before


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_record_reads_as_it_was_measured(lesson):
    """A cell stores its records three times: for programs, as a table, and as text. All three say the same."""
    for cell in code(read(lesson)):
        for data in (output.data for output in cell.outputs if MIME in output.get("data", {})):
            shown = Table(Record(**one) for one in data[MIME])._repr_mimebundle_()
            assert dict(data) == shown, cell.source


def exempt(n, *reasons):
    def change(cells):
        cells[n].metadata["tags"] = [IGNORE, *reasons]

    return change


def compared(cells):
    for cell in cells:
        if "varies-machine" in tags(cell):
            del cell.metadata["tags"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (exempt(3), "says why by one tag"),
        (exempt(3, "varies-machine", "varies-trained"), "says why by one tag"),
        (exempt(3, "varies-machine"), "nothing in it varies so"),
        (exempt(3, "varies-trained"), "nothing in it varies so"),
        (exempt(3, "varies-kept"), "nothing in it varies so"),
        (compared, "which are volatile: exempt it"),
        (lambda cells: cells[3].metadata.update(tags=["nbval-skip"]), "tells nbval something else"),
        (lambda cells: cells[3].update(source="# NBVAL_IGNORE_OUTPUT\nx"), "tells nbval something else"),
    ],
)
def test_a_cell_that_is_left_out_without_a_reason_is_noticed(change, problem):
    """Sabotage: cell 3 of 09_many_adapters shows a prediction, which is the same whenever it runs."""
    notebook = read("09_many_adapters")
    change(code(notebook))
    assert any(problem in found for found in problems("09_many_adapters", notebook))
