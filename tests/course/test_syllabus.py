"""The course map agrees with the notebooks: questions as their titles have them, what is missing marked so."""

import re

import nbformat

from lora_lessons.course.lesson import lessons
from lora_lessons.course.syllabus import SYLLABUS, course_map


def test_a_lesson_that_is_there_asks_the_question_of_the_map():
    for path in lessons():
        title = nbformat.read(path, 4).cells[0].source.splitlines()[0]
        assert re.fullmatch(r"# (\d\d) · (.+)", title).groups() == (path.stem[:2], SYLLABUS[path.stem[:2]].question)


def test_what_is_not_in_the_folder_is_to_come(course, make_lesson):
    make_lesson("02_lora_layer")
    rows = course_map().data.split("<tr>")[2:]
    assert len(rows) == len(SYLLABUS) >= 16
    assert [number for number, row in zip(SYLLABUS, rows, strict=True) if "to come" not in row] == ["02"]
    assert "02_lora_layer" in rows[2]
