"""README and CONTRIBUTING: their tables are made, and a table that is no longer true is noticed."""

import pytest

from lora_lessons.course.lesson import lessons
from lora_lessons.paths import course_root
from lora_lessons.run import readme


@pytest.mark.parametrize("name", readme.FILES)
def test_the_tables_are_as_they_are_made(name):
    text = (course_root() / name).read_text(encoding="utf-8")
    assert "`lora-lessons readme` makes the map of the house" in text
    assert readme.made(text) == text, "run `lora-lessons readme`"


def test_a_changed_row_is_noticed_and_prose_is_left_alone():
    text = (course_root() / "README.md").read_text(encoding="utf-8")
    assert readme.made(text.replace("| [05](", "| [06](")) == text
    assert readme.made(text.replace("`lora.py`", "`layer.py`")) == text
    assert readme.made(text.replace("## The house", "## The home")) == text.replace("## The house", "## The home")


def test_the_map_has_every_room_from_the_bottom_up():
    package = course_root() / "lora_lessons"
    rooms = {f"{p.parent.name}/" for p in package.glob("*/__init__.py")} | {p.name for p in package.glob("[!_]*.py")}
    rows = [row.split("|") for row in readme.house_map().splitlines()[2:]]
    order = [row[1].strip(" `") for row in rows]
    assert set(order) == rooms and len(order) == len(rooms)
    assert order.index("lora.py") < order.index("training/") < order.index("course/") < order.index("cli/")
    assert all(len(row) == 4 and row[2].strip() for row in rows), "each opens on a sentence, which breaks no table"


def test_a_lesson_without_a_baseline_is_not_timed_yet(course, make_lesson):
    make_lesson("03_train_lora")
    assert readme.lessons_table().splitlines()[2].endswith("| not timed yet | any CPU |")


def test_write_changes_what_differs_and_says_so(course, make_lesson):
    make_lesson("03_train_lora")
    marked = "<!-- `lora-lessons readme` makes the table of lessons -->\nold\n<!-- end of the table of lessons -->\n"
    (course / "README.md").write_text(f"# A\n\n{marked}\nB\n", encoding="utf-8")
    (course / "CONTRIBUTING.md").write_text("# C\n", encoding="utf-8")
    assert readme.write() == [course / "README.md"]
    text = (course / "README.md").read_text(encoding="utf-8")
    assert "old" not in text and f"notebooks/{lessons()[0].name}" in text and text.endswith("-->\n\nB\n")
    assert readme.write() == []
