"""What every recording says of itself: the machine in words, the day, the versions; nothing of who ran it."""

import json
import platform
from datetime import date
from pathlib import Path

from lora_lessons import machine
from lora_lessons.paths import measurements


def test_a_stamp_says_machine_day_and_versions_and_nothing_more():
    stamp = machine.stamp()
    assert list(stamp) == ["machine", "date", "versions"]
    assert stamp["machine"].endswith(" cores") and date.fromisoformat(stamp["date"])
    assert stamp["versions"]["torch"] and stamp["versions"]["python"] == platform.python_version()
    assert str(Path.home()) not in json.dumps(stamp)


def test_every_measurement_that_ships_says_where_and_when_it_was_made():
    for path in measurements().glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["machine"] and found["date"] and found["versions"], path.name
