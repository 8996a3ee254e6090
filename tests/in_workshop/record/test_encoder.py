"""The control base, recorded: its recording is whole."""

from lora_lessons.experiments import sweep
from lora_lessons.experiments.never_rounded import WAYS, recorded
from workshop.record import encoder as never_rounded


def test_the_recording_is_whole_and_says_where_it_was_made():
    found = recorded()
    assert found["machine"] and found["date"] and found["versions"]["torch"]
    assert set(found["ranking"]) == set(WAYS) and found["as_bf16"] < 0.001
    seeds = {run["seed"] for run in found["runs"]}
    assert len(seeds) >= 8 and not seeds & set(never_rounded.TUNED_ON)
    rate = never_rounded.best_rate(found["tuning"])
    for base in never_rounded.BASES:
        runs = [run for run in found["runs"] if run["base"] == base]
        assert {run["seed"] for run in runs} == seeds and {run["learning_rate"] for run in runs} == {rate}
    assert sweep.summary([run["accuracy"] for run in found["runs"]]).mean > 0.5
