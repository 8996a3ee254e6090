"""The course map agrees with the notebooks: questions as their titles have them, what is missing marked so."""

import re
from fractions import Fraction

import nbformat

from lora_lessons.course.lesson import lessons
from lora_lessons.course.syllabus import (
    GROUPS,
    SYLLABUS,
    WAYS,
    course_map,
    group_of,
    learning_minutes,
    minutes_by_hand,
    ways,
)
from lora_lessons.run.baselines import read_baseline


def test_a_lesson_that_is_there_asks_the_question_of_the_map():
    for path in lessons():
        title = nbformat.read(path, 4).cells[0].source.splitlines()[0]
        assert re.fullmatch(r"# (\d\d) · (.+)", title).groups() == (path.stem[:2], SYLLABUS[path.stem[:2]].question)


def test_what_is_not_in_the_folder_is_to_come(course, make_lesson):
    make_lesson("02_lora_layer")
    rows = course_map().data.split("<tr>")[2:]
    assert len(rows) == len(SYLLABUS) >= 14
    assert [number for number, row in zip(SYLLABUS, rows, strict=True) if "to come" not in row] == ["02"]
    assert "02_lora_layer" in rows[2]


def test_the_map_has_four_groups_and_every_lesson_is_in_one():
    shown = re.findall(r"<tr class='group'><th[^>]*>([^<]+)</th></tr><tr><td[^>]*>(\d\d)", course_map().data)
    assert dict(shown) == GROUPS and len(GROUPS) == 4
    assert [group_of(number) for number in ("00", "03", "04", "08", "09", "13")] == [
        *["What LoRA is"] * 2,
        "Set it well",
        "In 4 bits",
        *["Put to use"] * 2,
    ]


def test_a_notebooks_minutes_are_its_words_its_cells_and_its_exercises():
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    exercise = "### Exercise 02.1 · ★★☆ · 10 minutes · your own layer · by hand\n\n### Exercise 02.2 · ★☆☆ · 1 minute\n"
    cells = [markdown("word " * 290 + "<details>hint " * 500 + "</details>" + "`code` 7"), markdown(exercise)]
    cells += [code("x"), code("y"), code("z", metadata={"tags": ["hide-input"]})]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert learning_minutes(notebook) == (3, 11) and minutes_by_hand(notebook) == 10
    cells[-1].outputs = [nbformat.v4.new_output("display_data", {"image/png": ""})]
    assert learning_minutes(notebook) == (4, 11), "a picture is looked at, also where its code is folded"


PARTS = str.maketrans({"¼": " 1/4", "½": " 1/2", "¾": " 3/4"})


def test_the_hours_of_the_three_ways_are_those_of_their_lessons():
    taken = {}
    for path in lessons():
        notebook = nbformat.read(path, 4)
        (reading, exercises), by_hand = learning_minutes(notebook), minutes_by_hand(notebook)
        running = read_baseline(path.stem)["seconds"] / 60
        taken[path.stem[:2]] = reading + running, by_hand, exercises - by_hand
    for way in WAYS:
        minutes_of = [sum(taken[number][i] for number in way.lessons) for i in range(3)]
        for said, minutes in zip((way.hours, way.by_hand, way.exercises), minutes_of, strict=True):
            hours = sum(Fraction(part) for part in said.translate(PARTS).split())
            assert abs(minutes / 60 - hours) <= 0.25, f"{way.name}: {minutes / 60:.1f} hours, not {said}"
    assert ways()[1] == (
        "A day: lessons 00 to 08, about 4 hours to read and run, 1½ more to build by hand what later "
        "lessons use, and ½ for the other exercises."
    )
