"""A recording that goes on elsewhere names both machines."""

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
