"""A recording of many runs goes on where it was stopped, and where it goes on elsewhere it names both machines."""

import pytest

from lora_lessons.experiments import recordings
from workshop.record import runs


def test_a_recording_that_goes_on_elsewhere_names_both_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)

    def machines(**settings):
        kept = runs.Runs("two", settings)
        kept.make(f"run {len(kept.made)}", lambda: {"loss": 1.0})
        return recordings.when(recordings.recorded("two"))

    monkeypatch.setattr(runs, "machine", lambda: "Abacus, 2 cores")
    assert machines().startswith("Recorded on Abacus, 2 cores, 2")
    monkeypatch.setattr(runs, "machine", lambda: "Zuse, 1 cores")
    assert machines().startswith("Recorded on Abacus, 2 cores and Zuse, 1 cores, 2")
    assert machines().startswith("Recorded on Abacus, 2 cores and Zuse, 1 cores, 2"), "none is named twice"
    assert machines(steps=5).startswith("Recorded on Zuse, 1 cores, 2"), "begun anew, it is of this machine alone"


def test_what_was_made_before_it_was_stopped_is_kept_and_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    kept = runs.Runs("two", {})
    kept.make("first", lambda: {"loss": 1.0})
    with pytest.raises(RuntimeError, match="stopped"):
        kept.make("second", lambda: (_ for _ in ()).throw(RuntimeError("stopped")))
    again = runs.Runs("two", {})
    again.make("first", lambda: pytest.fail("it is made already"))
    again.make("second", lambda: {"loss": 2.0})
    assert recordings.recorded("two")["runs"] == {"first": {"loss": 1.0}, "second": {"loss": 2.0}}
