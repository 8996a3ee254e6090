"""Lesson 08 on a real 1.5B is recorded from the lesson's own run: kept with its whole time, or not at all."""

import json

import pytest

from lora_lessons.experiments import recordings
from lora_lessons.lessons.l08_qlora_7b.what_fits import BY_HAND, STORY
from lora_lessons.run import runner
from lora_lessons.run.result import FAILED, OK, LessonResult
from workshop.record import by_hand


@pytest.mark.parametrize("status", [OK, FAILED])
def test_a_run_that_came_to_its_end_is_kept_with_its_time(status, tmp_path, monkeypatch):
    def run(lessons, *, parameters, out, fresh):
        assert [path.stem for path in lessons] == ["08_qlora_7b"] and parameters == {"model": by_hand.BASE} and fresh
        for name, loss in (("adapters/lesson-08", 9.0), ("adapters/lesson-08-2", 2.0)):
            (out / name).mkdir(parents=True)
            recordings.write(out / name / STORY, {"loss_after": loss})
        return [LessonResult("08_qlora_7b", status, 901.4, 6_000_000_000, 30)]

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr(by_hand, "measurements", lambda: tmp_path)
    kept = tmp_path / f"{BY_HAND}.json"
    if status != OK:
        with pytest.raises(ValueError, match=r"did not come to its end: see .*report\.html"):
            by_hand.record(out=tmp_path / "out")
        assert not kept.exists()
        return
    by_hand.record(out=tmp_path / "out")
    found = json.loads(kept.read_text())
    assert (found["loss_after"], found["seconds_whole"]) == (2.0, 901)
