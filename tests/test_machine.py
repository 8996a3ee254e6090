"""What every recording says of itself: the machine in words, the day, the versions; nothing of who ran it."""

import json
import platform
import re
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

from lora_lessons import machine
from lora_lessons.models import precision
from lora_lessons.paths import measurements, package

# Run where this package is not installed: in Colab before it is, or in a tool's own environment.
BY_THEMSELVES = re.compile(r"colab\.py|\w+_worker\.py")


def test_a_stamp_says_machine_day_and_versions_and_nothing_more():
    stamp = machine.stamp()
    assert list(stamp) == ["machine", "date", "versions"]
    assert stamp["machine"].endswith(" cores") and date.fromisoformat(stamp["date"])
    assert stamp["versions"]["torch"] and stamp["versions"]["python"] == platform.python_version()
    assert str(Path.home()) not in json.dumps(stamp)


def test_a_builds_suffix_changes_no_version(monkeypatch):
    listed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.15.0" if name == "torch" else listed(name))
    keys = set()
    for says in ("2.15.0", "2.15.0+cu132"):
        monkeypatch.setattr(torch, "__version__", says)
        assert machine.versions()["torch"] == "2.15.0"
        keys.add(precision._machine_key())
    assert len(keys) == 1


def test_one_helper_says_which_version():
    asks = re.compile(
        r"(torch|transformers|peft|numpy|gguf)\.__version__|importlib\.metadata|from importlib import metadata"
    )
    others = [p for p in package().rglob("*.py") if asks.search(p.read_text(encoding="utf-8"))]
    assert [p.name for p in others if not BY_THEMSELVES.fullmatch(p.name)] == ["machine.py"]


def test_every_measurement_that_ships_says_where_and_when_it_was_made():
    for path in measurements().glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["machine"] and found["date"] and found["versions"], path.name
