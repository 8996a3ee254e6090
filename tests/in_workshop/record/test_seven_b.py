"""The 7B's recording is one unbroken run, made now."""

import os

from lora_lessons.experiments import recordings
from workshop.record import seven_b


def test_a_recording_is_one_fresh_run(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv("LORA_LESSONS_FRESH", "")
    monkeypatch.setattr(seven_b, "measurements", lambda: tmp_path)
    monkeypatch.setattr(
        seven_b.seven_b, "train_seven_b", lambda: asked.append(os.environ["LORA_LESSONS_FRESH"]) or {"losses": [2.0]}
    )
    seven_b.record()
    assert asked == ["1"] and recordings.read(tmp_path / "seven_b_cpu.json")["losses"] == [2.0]
