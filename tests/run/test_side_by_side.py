"""Lessons side by side: as many as were asked for, no more than memory holds, and those that compare speeds alone."""

import threading
from pathlib import Path

import pytest

from lora_lessons.run import side_by_side
from lora_lessons.run.result import LessonResult

LESSONS = [Path(f"{name}.ipynb") for name in ("01_a", "08_faster", "02_b", "03_c")]


@pytest.fixture
def company(monkeypatch):
    """A function that runs LESSONS: who was running when each began, the lesson itself included,
    in the order of beginning."""
    monkeypatch.setattr(side_by_side, "read_baseline", lambda lesson, profile: {"peak_ram_bytes": 3e9})

    def of(at_once, free=1e12):
        monkeypatch.setattr(side_by_side, "free_bytes", lambda: free)
        running, began, lock = set(), [], threading.Lock()

        def run(lesson, peak):
            with lock:
                running.add(lesson.stem)
                began.append((lesson.stem, len(running)))
            threading.Event().wait(0.2)
            with lock:
                running.remove(lesson.stem)
            return LessonResult(lesson.stem, "ok", 0.2, 0, 0)

        ended = [result.lesson for result in side_by_side.results(LESSONS, run, at_once)]
        assert sorted(ended) == sorted(lesson.stem for lesson in LESSONS)
        return began

    return of


def test_those_that_compare_speeds_come_last_and_alone(company):
    began = company(3)
    assert dict(began) == {"01_a": 1, "02_b": 2, "03_c": 3, "08_faster": 1} and began[-1] == ("08_faster", 1)


def test_no_more_run_than_were_asked_for_or_than_memory_holds(company):
    assert max(many for _, many in company(2)) == 2
    assert max(many for _, many in company(2, free=7e9)) == 1, "3 + 3 GB are more than 0.8 of 7"


def test_in_turn_they_keep_their_order(company):
    assert company(1) == [(lesson.stem, 1) for lesson in LESSONS]


def test_what_is_left_is_what_was_recorded_at_the_pace_of_what_ran(monkeypatch):
    kept = {"01_a": 30.0, "08_faster": 100.0, "02_b": 60.0}
    monkeypatch.setattr(side_by_side, "read_baseline", lambda name, _: name in kept and {"seconds": kept[name]})
    usual = side_by_side.USUAL_SECONDS  # 03_c has no baseline
    assert side_by_side.seconds_left(LESSONS, {"01_a": 45.0}, 2) == pytest.approx(1.5 * (100 + (60 + usual) / 2))


def test_where_all_would_share_a_card_one_runs_at_a_time(monkeypatch):
    monkeypatch.setattr(side_by_side.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(side_by_side.shutil, "which", lambda name: None)
    assert [side_by_side.how_many(LESSONS[:n]) for n in (1, 3, 4)] == [1, 3, 4]
    monkeypatch.setattr(side_by_side.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert side_by_side.how_many(LESSONS) == 1
