"""The recording of lesson 14: what a run holds, who speaks in each arm, and which runs there are."""

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import adapter, lora, models, preferences
from lora_lessons.experiments import recordings
from workshop.record import a_teacher
from workshop.record.a_teacher import ON_POLICY, PROBABILITIES, REPAIR, WARM, WORDS


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """A tiny base, a teacher whose B is not 0, two steps of two answers; who was sampled from is noted."""
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    made, speakers, sample = make_tiny_base(), [], preferences.sample
    monkeypatch.setattr(models, "load", lambda **_: made)

    def a_voice(model, folder):
        lora.attach(model, r=2, lora_alpha=4, seed=7)
        torch.manual_seed(7)
        for _, layer in lora.lora_layers(model):
            layer.lora_B.data.normal_(std=0.3)

    def noted(base, *rest):
        speakers.append(base.model)
        return sample(base, *rest)

    monkeypatch.setattr(adapter, "load_adapter", a_voice)
    monkeypatch.setattr(preferences, "sample", noted)
    few = {
        "STEPS": 2,
        "REPAIR_STEPS": 2,
        "QUESTIONS": 2,
        "LONGEST": 6,
        "SAID": 6,
        "ASKED": 4,
        "EVERYDAY": 2,
        "OF_KLS": 2,
    }
    for name, value in few.items():
        monkeypatch.setattr(a_teacher, name, value)
    a_teacher._parts.cache_clear()
    yield speakers
    a_teacher._parts.cache_clear()


@pytest.mark.parametrize(("arm", "own"), [(WORDS, 0), (PROBABILITIES, 0), (ON_POLICY, 2), (WARM, 1), (REPAIR, 2)])
def test_a_student_speaks_where_its_way_says_so_and_learns(small, arm, own):
    _, teacher, said, _ = a_teacher._parts()
    found, before = a_teacher.one_run(arm, 1), a_teacher.one_run("base", 1)
    assert sum(one is not teacher.model for one in small) - 2 == own, "the last two are the two ends' own answers"
    assert len(found["losses"]) == 2 and len(said) == 4 and 0 < found["tokens"] <= 2 * 2 * 6
    assert found["loss"] != before["loss"] and before["losses"] == [] and before["tokens"] == 0
    assert found["forward"] >= 0 and found["reverse"] >= 0 and 0 <= found["kept"] <= found["lamp"] <= 4
    assert (found["drift"] is None) == (arm != REPAIR) and len(found["answers"]) == (6 if arm == REPAIR else 4)


def test_the_teacher_is_itself_and_every_run_is_kept(small):
    runs = a_teacher.record()
    assert (
        runs["teacher, seed 0"]["forward"] == runs["teacher, seed 0"]["reverse"] == 0 != runs["base, seed 0"]["forward"]
    )
    assert len(runs) == 2 + 4 * 3 + 1 and recordings.recorded(a_teacher.NAME)["runs"].keys() == runs.keys()
