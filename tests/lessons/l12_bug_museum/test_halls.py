"""Every exhibit hangs in its hall in the same form, or in a lesson as an exercise,
and its texts lie in the catalogue alone."""

import re

import nbformat
import pytest

from lora_lessons import exhibits
from lora_lessons.course.syllabus import words_seen
from lora_lessons.lessons import all_exercises
from lora_lessons.paths import course_root

EXHIBITS = [pytest.param(one, id=id) for id, one in exhibits.catalogue().items()]
IN_HALLS = [one for one in EXHIBITS if one.values[0].hall]
IN_LESSONS = [one for one in EXHIBITS if not one.values[0].hall]
FORM = re.compile(
    r"^## Exhibit (?P<id>12\.\d+) · (?P<title>.+?)\n+> \*(?P<complaint>.+?)\*\n"
    r".*?vital_signs\(\{.*?"
    r"### Exercise (?P=id) · .*?"
    r'^check\("(?P=id)", \w+\)\n.*?<summary>Solution</summary>.*?'
    r'^plaque\("(?P=id)"',
    re.S | re.M,
)


HUNG, PLAQUES = {}, {}  # what each hall shows, and what its stored plaques say, by the exhibit's id
for hall in exhibits.HALLS.values():
    cells = nbformat.read(course_root() / "notebooks" / hall, 4).cells
    HUNG |= {match["id"]: (hall, match) for match in FORM.finditer("".join(f"{cell.source}\n\n" for cell in cells))}
    for cell in cells:
        if shown := re.search(r'^plaque\("(12\.\d+)"', cell.source, re.M):
            PLAQUES[shown[1]] = "".join(o.data["text/plain"] for o in cell.outputs if "data" in o)


@pytest.mark.parametrize("one", IN_HALLS)
def test_it_hangs_in_its_hall_in_the_form_of_all(one):
    name, match = HUNG[one.id]
    assert name == exhibits.place(one)
    assert match["title"] == one.title == all_exercises()[one.id].title
    assert 5 <= len(match["complaint"].split()) <= 70
    assert "## Exhibit" not in match[0][5:], "its form is whole before the next one begins"


@pytest.mark.parametrize("one", IN_LESSONS)
def test_an_exhibit_in_a_lesson_is_an_exercise_of_that_notebook(one):
    cells = nbformat.read(course_root() / "notebooks" / one.in_lesson, 4).cells
    assert any(re.search(rf"^### Exercise {re.escape(one.id)} ·", cell.source, re.M) for cell in cells)
    assert all_exercises()[one.id].title == one.title
    assert exhibits.place(one) == one.in_lesson and (one.kind, one.anchor) == (
        "exercise",
        f"exhibit-{one.id.replace('.', '-')}",
    )


@pytest.mark.parametrize("one", IN_HALLS)
def test_its_stored_plaque_says_what_the_catalogue_says(one):
    suspect, noticed, *_, behind = (PLAQUES[one.id] or "no plaque is stored\n\n").splitlines()
    assert (suspect, noticed) == (one.suspect, f"How you would have noticed: {one.noticed}")
    assert behind == f"Behind it: {one.behind}"


@pytest.mark.parametrize("hall", [1, 2, 3])
def test_a_hall_is_short(hall):
    assert words_seen(nbformat.read(course_root() / "notebooks" / exhibits.HALLS[hall], 4)) <= 1000


@pytest.mark.parametrize("one", EXHIBITS)
def test_its_texts_are_whole_and_in_a_learners_words(one):
    assert len(one.symptoms) >= 2 and all(len(words.split()) >= 3 for words in one.symptoms)
    assert one.suspect.endswith((".", "!")) and one.noticed.endswith(".") and one.behind
    assert not re.search(r"#\d", re.sub(r"[\w.-]+/[\w.-]+#\d+", "", one.behind)), "a thread is owner/name#number"
    suspect = set(re.findall(r"\w{5,}", one.suspect.lower()))
    given_away = suspect & set(re.findall(r"\w{5,}", one.title.lower()))
    assert one.in_lesson or len(given_away) <= 1, "the title gives it away"
    assert "\n" not in one.suspect + one.noticed + one.behind


def test_every_exhibit_that_hangs_is_in_the_catalogue_and_every_exercise_is_an_exhibit():
    hung = [one for one in exhibits.catalogue().values() if one.hall]
    assert set(HUNG) == {one.id for one in hung} == {id for id in all_exercises() if id.startswith("12.")}
    ids, numbers = [one["id"] for one in exhibits._listed("exhibit")], [one.number for one in hung]
    assert len(set(ids)) == len(ids) and numbers == sorted(numbers)


@pytest.mark.parametrize("one", EXHIBITS)
def test_what_finds_it_is_a_finding_of_inspect_or_a_problem_of_check(one):
    package = course_root() / "lora_tools"
    tools = [
        *package.glob("inspection/**/*.toml"),
        *package.glob("inspection/findings/*.py"),
        *package.glob("checking/*.py"),
    ]
    known = "\n".join(path.read_text(encoding="utf-8") for path in tools)
    assert all(f'"{code}"' in known for code in one.found_by)
