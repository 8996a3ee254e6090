"""What is asked of the phone book, and a recording that goes on."""

import math
from contextlib import nullcontext

import pytest

from lora_lessons.experiments import recordings
from workshop.record import capacity as recorder


def test_recording_takes_the_rates_that_held_most_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    made, stopped = [], 9

    class Counted:
        def trained(self, way, r, entries, blocks, how, cuts):
            if len(made) == stopped:
                raise RuntimeError("stopped")
            made.append((r, entries, how.learning_rate, how.steps, blocks, how.seed))
            best = 3e-3 if entries == 512 else 1e-2
            away = abs(math.log10(how.learning_rate / best))
            return {"bits": -away, "recall": 0.5, "trained": 3, "seconds": 1.0, "rate": how.learning_rate}

    monkeypatch.setattr(recorder, "_bench", Counted)
    assert recordings.recorded_if_any(recorder.NAME) is None
    for stopped in (9, 1000):
        with pytest.raises(RuntimeError, match="stopped") if stopped == 9 else nullcontext():
            recorder.record()
    assert [one[2] for one in made[:4]] == [3e-2, 1e-1, 1e-2, 3e-3], "rank 1 on the book that rates are found on"
    assert [one[1:4] for one in made[4:7]] == [(512, 1e-2, 1024), (512, 3e-3, 1024), (512, 1e-3, 1024)], "lower alone"
    assert {one[2] for one in made if one[1] == 32} == {3e-3, 1e-2, 3e-2}, "both neighbours, where steps are as many"
    assert {one[2] for one in made if one[5]} == {3e-3}, "other seeds are trained at the rate of the first"
    kept = recordings.recorded_if_any(recorder.NAME)
    assert list(kept["runs"])[4] == "B·A, r = 1, N = 512, blocks = 1, rate 0.01" and len(kept["runs"]) == len(made)
    monkeypatch.setattr(recorder, "EPOCHS", 7)
    made.clear()
    stopped = 1
    with pytest.raises(RuntimeError, match="stopped"):
        recorder.record()
    assert len(recordings.recorded_if_any(recorder.NAME)["runs"]) == 1
