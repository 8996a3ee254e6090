"""The course's seconds: the newest report beside the recordings, and no lesson executed unless it is asked to."""

import json
import os

import pytest

from workshop.record import course as bench


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


def test_the_newest_report_of_the_lessons_own_parameters_stands_beside_the_recordings(
    course, make_lesson, tmp_path, monkeypatch, capsys
):
    for name, seconds in (("00_a", 10.0), ("01_b", 40.0)):
        make_lesson(name)
        recorded(course, name, seconds)
    out, asked = tmp_path / "course-report", []
    with pytest.raises(FileNotFoundError, match="there is no report in"):
        bench.record(folder=out)
    monkeypatch.setattr(bench.runner, "run", lambda lessons, out, fresh: asked.append((len(lessons), fresh)))
    reported(out / "old", 200, [("00_a", 99.0, "ok")])
    reported(out, 100, [("00_a", 5.0, "ok"), ("01_b", 1.0, "failed")])
    reported(out / "seed-1", 0, [("00_a", 77.0, "ok")], {"seed": 1})
    for run in (False, True):
        bench.record(run, out)
        assert [line.split()[0:6:5] for line in capsys.readouterr().out.splitlines()[2:]] == [
            ["00_a", "0.50"],
            ["01_b", "0.03"],
        ]
    assert asked == [(2, True)]
