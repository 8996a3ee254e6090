"""Prose quotes only what records support, and a number that says nothing of its source is found."""

import math

import nbformat
import pytest

from lora_lessons.course import prose
from lora_lessons.course.lesson import lessons, notebook_of, side_trips
from lora_lessons.run.baselines import read_baseline

LESSONS = [p.stem for p in [*lessons(), *side_trips()]]


def problems(lesson, notebook):
    baseline = read_baseline(lesson)
    values = {name: entry["expected"] for name, entry in baseline["records"].items()}
    minutes = math.ceil(baseline["seconds"] / 60)
    cells = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    return [p for source in cells for p in prose.prose_problems(source, values, minutes)]


def read(lesson):
    return nbformat.read(notebook_of(lesson), 4)


@pytest.mark.parametrize("lesson", LESSONS)
def test_prose_quotes_only_what_the_records_support(lesson):
    assert problems(lesson, read(lesson)) == []


@pytest.mark.parametrize("lesson", [p for p in LESSONS if not p.startswith("00")])
def test_a_changed_number_in_prose_is_noticed(lesson):
    """Sabotage: the net must catch a number that no longer agrees with its record."""
    notebook = read(lesson)
    cell, quoted = next(
        (c, q)
        for c in notebook.cells
        if c.cell_type == "markdown"
        for q in prose.quoted_numbers(c.source)
        if q.kind == "record"
    )
    cell.source = cell.source.replace(quoted.number + "", "77" + quoted.number, 1)
    assert problems(lesson, notebook)


@pytest.mark.parametrize(
    "text, found",
    [
        ("It took 3.4 s.", ["3.4"]),
        ("It cut 97% of it, and 12 MB.", ["97", "12"]),
        ("Rank 8 of 576, r = 64, lesson 03, the paper's section 7.2.", []),
        ("`0.5` and $0.25$ and $$1.5$$ are code and formulas", []),
        ("8.4<!--record a.b--> nats, 62.0<!--published LoRA Table 7-->", []),
        ("see [1.5](https://example.org/2.5)", ["1.5"]),
    ],
)
def test_numbers_that_look_measured_are_found(text, found):
    assert prose.free_numbers(text) == found


def test_quoted_numbers_are_compared_at_their_own_digits():
    values = {"a": 8.449, "share": 0.4512, "n": 19_988_480}
    good = "8.4<!--record a--> 8.45<!--record a--> 45%<!--record share--> 45.1%<!--record share--> 19,988,480<!--record n-->"
    assert prose.prose_problems(good, values, 1) == []
    for bad in ("8.5<!--record a-->", "46%<!--record share-->", "1<!--record absent-->", "2<!--calc lesson minutes-->"):
        assert len(prose.prose_problems(bad, values, 1)) == 1, bad
