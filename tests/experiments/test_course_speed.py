"""The course bench: the newest report beside the recordings, and no lesson executed unless it is asked to."""

import json
import os

import pytest

from lora_lessons.experiments import course_speed as bench


def recorded(course, lesson, seconds):
    whole = {"seconds": seconds, "machine": "Processor A, 2 cores", "records": {}}
    (course / "data" / "baselines" / f"{lesson}.quick.json").write_text(json.dumps(whole), encoding="utf-8")


def reported(folder, age, lessons, parameters=None):
    lessons = [{"lesson": name, "seconds": seconds, "status": status} for name, seconds, status in lessons]
    whole = {"profile": "quick", "parameters": parameters or {}, "machine": "Processor B, 4 cores", "date": "today"}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.json"
    file.write_text(json.dumps(whole | {"lessons": lessons}), encoding="utf-8")
    os.utime(file, (1e9 - age, 1e9 - age))


@pytest.fixture
def two_lessons(course, make_lesson, monkeypatch):
    for name, seconds in (("00_a", 10.0), ("01_b", 40.0)):
        make_lesson(name)
        recorded(course, name, seconds)
    monkeypatch.setattr(bench.runner, "run", lambda *_, **__: pytest.fail("a lesson was executed"))
    return course


def test_without_a_report_it_shows_what_is_recorded_and_how_to_get_one(two_lessons, tmp_path, capsys):
    found = bench.measure(folder=tmp_path / "none")
    shown = capsys.readouterr().out
    assert "recorded on: Processor A, 2 cores" in shown and "bench course --run" in shown
    assert [(row["recorded"], row["seconds"], row["ratio"]) for row in found["rows"]] == [
        (10.0, None, None),
        (40.0, None, None),
    ]


def test_the_newest_report_of_the_lessons_own_parameters_stands_beside_the_recordings(two_lessons, tmp_path, capsys):
    out = tmp_path / "course-report"
    reported(out / "old", 200, [("00_a", 99.0, "ok")])
    reported(out, 100, [("00_a", 5.0, "ok"), ("01_b", 1.0, "failed")])
    reported(out / "seed-1", 0, [("00_a", 77.0, "ok")], {"seed": 1})
    found = bench.measure(folder=out)
    shown = capsys.readouterr().out
    assert [row["ratio"] for row in found["rows"]] == [0.5, None] and found["ran_on"] == "Processor B, 4 cores"
    assert "failed" in next(line for line in shown.splitlines() if line.startswith("01_b"))
    assert "1 of 2 together" in shown and "0.50" in shown.partition("together")[2]


def test_asked_to_run_it_trains_everything_anew_and_then_compares(two_lessons, tmp_path, monkeypatch):
    out, asked = tmp_path / "course-report", {}

    def run(lessons, **how):
        asked.update(how, lessons=[path.stem for path in lessons])
        reported(how["out"], 0, [(path.stem, 20.0, "ok") for path in lessons])

    monkeypatch.setattr(bench.runner, "run", run)
    assert [row["ratio"] for row in bench.measure(run=True, folder=out)["rows"]] == [2.0, 0.5]
    assert asked == {"lessons": ["00_a", "01_b"], "out": out, "fresh": True}


WHOLE = {"profile": "quick", "parameters": {}, "machine": "Processor B, 4 cores", "date": "today"}
LESSONS = [
    5,
    [{}],
    [{"lesson": "00_a", "status": "ok", "seconds": "long"}],
    [{"lesson": [1], "status": "ok", "seconds": 1}],
]
OTHERS = [json.dumps(WHOLE | {"lessons": lessons}).encode() for lessons in LESSONS]


@pytest.mark.parametrize("data", [b"{", b"null", b"[]", b"{}", b"\xff{", b"[" * 100_000, *OTHERS], ids=range(10))
def test_a_damaged_report_is_said_and_passed_over(two_lessons, tmp_path, capsys, data):
    out = tmp_path / "course-report"
    reported(out / "old", 200, [("00_a", 5.0, "ok")])
    (out / "report.json").write_bytes(data)
    made = bench.measure(folder=out)
    assert "report.json is damaged" in capsys.readouterr().err
    assert [row["seconds"] for row in made["rows"]] == [5.0, None]
