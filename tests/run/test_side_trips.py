"""Side trips in notebooks/deeper/: everything that knows the lessons knows them,
and the main path goes on without them."""

import json

import nbformat
import pytest

from lora_lessons.course import earlier
from lora_lessons.course.lesson import lessons, notebook_of, place_of, side_trips
from lora_lessons.course.records import Record
from lora_lessons.course.syllabus import course_map
from lora_lessons.lessons import all_exercises
from lora_lessons.run import doctor, lab, runner
from lora_lessons.run.baselines import update
from lora_tools import cli
from workshop import readme

RECORD = "from lora_lessons.course.records import record\n"


@pytest.fixture
def trip(course, make_lesson):
    """Lesson 03 with a side trip, and lesson 04."""
    (course / "notebooks" / "deeper").mkdir()
    make_lesson("03_train_lora", RECORD + "record('loss', 1.5)")
    make_lesson("04_peft")
    return make_lesson("deeper/03_directions", RECORD + "record('angle', 30.0, 'degrees')")


def test_without_side_trips_there_are_none(course, make_lesson):
    make_lesson("03_train_lora")
    assert side_trips() == [] and [path.stem for path in runner.find_lessons([])] == ["03_train_lora"]
    assert "side trip" not in readme.lessons_table() and "deeper" not in course_map().data


def test_a_side_trip_is_no_lesson_and_is_run_after_them(trip):
    assert side_trips() == [trip] and trip not in lessons()
    assert runner.find_lessons([]) == [*lessons(), trip]
    assert notebook_of("03_directions") == trip and notebook_of("03_train_lora") in lessons()
    with pytest.raises(FileNotFoundError, match="is called 05_x"):
        notebook_of("05_x")


def test_a_side_trip_is_found_by_its_name_and_a_number_means_the_lesson(trip):
    three = notebook_of("03_train_lora")
    names = ["3", "03", "03_train_lora", str(three), "03_directions", "deeper/03_directions", str(trip)]
    assert runner.find_lessons(names) == [three] * 4 + [trip] * 3
    for name, said in (
        ("deeper/03_direction", "Did you mean 03_directions?"),
        ("03_train_lroa", "Did you mean 03_train_lora?"),
        ("no/such.ipynb", "no/such.ipynb does not exist"),
        *((word, "no lesson is called") for word in ("deeper/04_peft", "²", "①", "٣", "9" * 5000, "-3", "3.0", "")),
    ):
        with pytest.raises(FileNotFoundError, match=said):
            runner.find_lessons([name])


def test_what_a_number_or_a_name_meant_before_is_said_and_run_where_it_means_nothing_else(trip, monkeypatch, capsys):
    then = {"04_fast": "deeper/03_directions", "07_own": "04_peft", "deeper/07_x": "deeper/03_directions"}
    monkeypatch.setattr(earlier, "NOTEBOOKS", then)
    four = notebook_of("04_peft")
    assert runner.find_lessons(["04", "7", "07_own", "04_fast", "deeper/07_x"]) == [four, four, four, trip, trip]
    assert capsys.readouterr().err.splitlines() == [
        "Since 0.4 04_fast is deeper/03_directions, and 04 is 04_peft.",
        *["Since 0.4 07_own is 04_peft."] * 2,
        "Since 0.4 04_fast is deeper/03_directions.",
        "Since 0.4 deeper/07_x is deeper/03_directions.",
    ]


def test_what_had_another_name_or_number_before_stands_where_the_table_says():
    for then, now in earlier.NOTEBOOKS.items():
        assert place_of(notebook_of(now.removeprefix("deeper/")).stem) == now
        assert runner.find_lessons([then]) == [notebook_of(now.removeprefix("deeper/"))]
    numbers = [now for now in earlier.IN_0_4.values() if now]
    assert {*numbers} <= {*all_exercises()} and len({*numbers}) == len(numbers), "no two are one now"


def test_a_side_trip_is_run_and_held_against_its_own_baseline(trip, course, tmp_path):
    update("03_directions", "quick", [{"angle": Record("angle", 60.0, "degrees")}] * 3, 1.0, 1)
    assert (course / "data" / "baselines" / "03_directions.quick.json").is_file()
    assert cli.main(["run", "deeper/03_directions", "--out", str(tmp_path / "out")]) == cli.EXIT_NO
    whole = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    (one,) = whole["lessons"]
    assert (one["lesson"], one["status"]) == ("03_directions", "deviates") and one["records"]["angle"]["value"] == 30
    assert (tmp_path / "out" / "03_directions.ipynb").is_file()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "03_directions is not as in the baseline" in page and "angle is 30; expected 60" in page
    with_another_seed = ["run", "03_directions", "-p", "seed", "1", "--out", str(tmp_path / "other")]
    assert cli.main(with_another_seed) == 0, "what was recorded with other parameters is no measure"


def test_a_learner_gets_side_trips_in_their_folder_and_opens_them_there(trip, tmp_path):
    said = list(lab.copy_lessons(tmp_path / "my_lessons"))
    assert (tmp_path / "my_lessons" / "deeper" / "03_directions.ipynb").is_file()
    assert any(line.startswith("deeper/03_directions.ipynb: copied") for line in said)
    assert lab.place(trip) == "deeper/03_directions.ipynb" and lab.place(tmp_path / "own.ipynb") == "own.ipynb"


def test_the_map_and_the_doctor_list_side_trips(trip):
    notebook = nbformat.read(trip, as_version=4)
    notebook.cells[0].source = "# Which directions?"
    nbformat.write(notebook, trip)
    update("03_directions", "quick", [{"angle": Record("angle", 30.0)}], seconds=61, peak_ram_bytes=1_500_000_000)
    cell = course_map().data.split("<tr>")[5]
    assert "href='03_train_lora.ipynb'" in cell and "<a href='deeper/03_directions.ipynb'>Which directions?</a>" in cell
    assert "about 1.0 minutes" in doctor.examine()["lessons"]["03_directions"]["says"]
