"""README and the pages of docs/: their tables are made,
and a table that is no longer true is noticed."""

import json

import pytest

from lora_lessons import files
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.paths import course_root
from workshop import readme


@pytest.mark.parametrize("name", readme.FILES)
def test_the_tables_are_as_they_are_made(name):
    text = (course_root() / name).read_text(encoding="utf-8")
    assert "`python -m workshop readme` makes the " in text
    assert readme.made(text) == text, "run `python -m workshop readme`"


@pytest.mark.parametrize("path", [*lessons(), *side_trips()], ids=lambda p: p.stem)
def test_the_verdict_cards_and_minutes_of_a_lesson_are_as_they_are_made(path):
    text = path.read_text(encoding="utf-8")
    assert readme.cards_of(path)(readme.minutes_of(path)(text)) == text, "run `python -m workshop readme`"


def test_a_card_that_says_something_else_of_other_sizes_is_made_anew(tmp_path):
    (path,) = (path for path in lessons() if path.stem == "01_low_rank")
    text = path.read_text(encoding="utf-8")
    assert text.count("At other sizes of base: ") == 1
    (older := tmp_path / path.name).write_text(text.replace("At other sizes of base: ", "At 0.5B: "), encoding="utf-8")
    assert readme.cards_of(older)(older.read_text(encoding="utf-8")) == text


def test_a_changed_row_is_noticed_and_prose_is_left_alone():
    text, map_of_the_house = (files.read_text(course_root() / name) for name in readme.FILES[:2])
    assert readme.made(text.replace("| [05](", "| [06](")) == text
    assert readme.made(map_of_the_house.replace("`lora.py`", "`layer.py`")) == map_of_the_house
    assert readme.made(text.replace("## The lessons", "## Ours")) == text.replace("## The lessons", "## Ours")


def test_the_map_has_every_room_from_the_bottom_up():
    packages = [course_root() / name for name in ("lora_lessons", "lora_tools")]
    rooms = {f"{p.parent.name}/" for package in packages for p in package.glob("*/__init__.py")}
    rooms |= {p.name for package in packages for p in package.glob("[!_]*.py")}
    rows = [row.split("|") for row in readme.house_map().splitlines()[2:]]
    order = [row[1].strip(" `") for row in rows]
    assert set(order) == rooms and len(order) == len(rooms)
    assert order.index("lora.py") < order.index("training/") < order.index("course/") < order.index("cli/")
    assert all(len(row) == 4 and row[2].strip() for row in rows), "each opens on a sentence, which breaks no table"


def test_a_lesson_without_a_baseline_is_not_timed_yet(course, make_lesson):
    make_lesson("03_train_lora")
    assert "| not timed yet |  |" in readme.lessons_table().splitlines()[2]


def test_write_changes_what_differs_and_says_so(course, make_lesson):
    make_lesson("03_train_lora")
    marked = (
        "<!-- `python -m workshop readme` makes the table of lessons -->\nold\n<!-- end of the table of lessons -->\n"
    )
    (course / "README.md").write_text(f"# A\n\n{marked}\nB\n", encoding="utf-8")
    assert readme.write() == [course / "README.md"]
    text = (course / "README.md").read_text(encoding="utf-8")
    assert "old" not in text and f"notebooks/{lessons()[0].name}" in text and text.endswith("-->\n\nB\n")
    assert readme.write() == []


def test_without_a_recording_nothing_is_said_of_times(course):
    marked = (
        "<!-- `python -m workshop readme` makes the table of training speed -->\nold\n<!-- end of the "
        "table of training speed -->"
    )
    assert readme.made(marked) == marked.replace("old", "")


def _reader(reader, kind, **counts):
    return {"reader": reader, "kind": kind, "right": 0, "sentence": 0} | dict.fromkeys(readme.FAULTS, 0) | counts


ATTACKS = {
    "machine": "Processor A, 2 cores",
    "date": "2026-11-26",
    "seed": 7,
    "rows": [
        _reader("config.json", "JSON", inputs=1000, right=300, sentence=700),
        _reader("a baseline", "JSON", inputs=500, right=1, sentence=497, silent=2),
        _reader("a sweep's table", "CSV", inputs=40, right=10, sentence=26, traceback=1, hang=2, memory=1),
    ],
    "kills": [
        {"what": "train", "kills": 12, "resumed": 12, "lost": 0},
        {"what": "sweep", "kills": 12, "resumed": 9, "lost": 3},
    ],
}
SABOTAGES = {
    "machine": "Processor A, 2 cores",
    "date": "2026-11-25",
    "rows": [
        {"what": "alpha is forgotten", "file": "lora.py", "caught_by": "tests/test_lora.py", "seconds": 12.2},
        {"what": "a number in prose", "file": "05.ipynb", "caught_by": "", "seconds": 60.0},
    ],
}


def test_what_bad_files_and_kills_did_is_counted_from_the_records(course):
    folder = course / "data" / "measurements"
    folder.mkdir()
    (folder / "reliability.json").write_text(json.dumps(ATTACKS), encoding="utf-8")
    (folder / "sabotages.json").write_text(json.dumps(SABOTAGES), encoding="utf-8")
    table = readme.reliability_table()
    assert "Measured on 2026-11-26 on Processor A, 2 cores, seed 7:" in table
    lines = table.splitlines()
    assert "| JSON | 2 | 1,500 | 301 | 1,197 | 0 | 0 | 2 | 0 |" in lines
    assert "| CSV | 1 | 40 | 10 | 26 | 1 | 2 | 0 | 1 |" in lines
    assert "| **all** | 3 | 1,540 | 311 | 1,223 | 1 | 2 | 2 | 1 |" in lines
    assert "| sweep | 12 | 9 | 3 |" in lines and "| **all** | 24 | 21 | 3 |" in lines
    assert (
        "of 2 sabotages of the code and the records, 1 made a test fail, each within 13 seconds of a processor."
        in table
    )
    assert "pytest -m reliability" in table


def test_without_records_it_is_said_that_reliability_is_not_yet_recorded(course):
    table = readme.reliability_table()
    assert "Not yet recorded" in table and "Sabotages of the code: not yet" in table and "|" not in table
