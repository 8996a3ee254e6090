"""The workbench measures what it says: scales, sizes, layers that PEFT adapts, an adapter that both can open."""

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny import make_tiny_base, make_tiny_model

from lora_lessons import lora, models, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.exhibits import catalogue
from lora_lessons.lessons.l14_bug_museum import exercises_hall_1 as mixture
from lora_lessons.lessons.l14_bug_museum import workbench
from lora_lessons.lessons.l14_bug_museum.shown import VitalSigns, named


def config(**settings):
    return LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | settings)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(workbench.Workbench, "perplexity", lambda self: 40.0)
    ids = torch.randint(3, 128, (4, 12), generator=torch.Generator().manual_seed(0))
    few = [tasks.Encoded(row, row.clone()) for row in ids]
    return workbench.Workbench(make_tiny_base(), few, few[:2], "Hello?", tmp_path)


def test_the_size_of_an_update_is_worked_out_without_the_product():
    A, B = torch.randn(3, 7), torch.randn(5, 3)
    assert workbench.factor_norm(A, B) == pytest.approx(float((B @ A).norm()), rel=1e-5)


def test_an_attempt_leaves_the_base_bare_and_an_adapter_that_peft_opens(bench):
    before = models.weights_digest(bench.base.model.requires_grad_(False))
    found = bench.train(config(target_modules=["q_proj", "fc1"]))
    assert models.weights_digest(bench.base.model) == before and not list(lora.lora_layers(bench.base.model))
    assert len(found.losses) == workbench.STEPS and found.losses[-1] < found.losses[0]
    assert len(bench.train(config(target_modules=["q_proj"]), steps=5).losses) == 5
    assert len(found.layers) == 2 and all(name.endswith("q_proj") for name in found.layers)
    assert found.scale == 2 and found.update > 0
    settings = json.loads((found.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert sorted(settings["target_modules"]) == ["fc1", "q_proj"], "the mistake is still in the file"
    ours = read_adapter(found.adapter)
    wrapped = PeftModel.from_pretrained(make_tiny_model(), found.adapter)
    theirs = {name: p for name, p in wrapped.named_parameters() if "lora_B" in name}
    assert all(
        torch.equal(ours.B[name.split("base_model.model.")[1].split(".lora_B")[0]], p) for name, p in theirs.items()
    )


def test_a_start_at_zero_moves_nothing_and_a_usual_one_does(bench):
    def no_op(model):
        for name, p in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.zeros_(p)

    here, healthy = workbench.first_steps(bench, config(), no_op), workbench.first_steps(bench, config())
    assert (here.gradient, here.moved) == (0, 0) and here.losses[0] == here.losses[1] == healthy.losses[0]
    assert healthy.gradient > 0 and healthy.moved > 14 and healthy.losses[1] != healthy.losses[0]
    assert not [name for name, _ in bench.base.model.named_parameters() if "lora" in name]


def test_all_linear_leaves_the_experts_of_a_mixture_out_and_a_whole_configuration_does_not():
    every, found, whole = mixture.compared(get_peft_model(mixture.tiny_mixture(), config()))
    assert mixture.share(found, every, "self_attn") == mixture.share(whole, every, "self_attn") == 1
    assert mixture.share(found, every, "experts") == 0 and mixture.share(whole, every) == 1
    left_out = lora.left_out(mixture.tiny_mixture(), {name.removesuffix(".weight") for name in found})
    assert set(left_out) == {name for name in every if "experts" in name}


class Finding:
    def __init__(self, code, sentence):
        self.code, self.sentence = code, sentence


def test_a_plaque_quotes_what_names_its_exhibit_and_nothing_else():
    code = catalogue()["14.2"].found_by[0]
    assert named("14.2", [Finding(code, "The scale is 0.125."), Finding("other", "Something else.")]) == [
        "The scale is 0.125."
    ]
    assert named("14.1", [Finding(code, "The scale is 0.125.")]) == []


def test_vital_signs_show_both_values_in_words_and_as_a_table():
    table = VitalSigns({"‖ΔW‖ < ‖W‖": (True, 0.12345), "layers": (60, 1210)})
    assert (
        repr(table)
        == "‖ΔW‖ < ‖W‖: yes in this run, 0.1235 in a healthy one\nlayers: 60 in this run, 1,210 in a healthy one"
    )
    shown = table._repr_mimebundle_()["text/html"]
    assert "‖ΔW‖ &lt; ‖W‖" in shown and shown.count("<tr>") == 3
