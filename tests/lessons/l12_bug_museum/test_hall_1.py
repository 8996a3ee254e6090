"""Hall 1's mixture has experts that all-linear leaves out; plaques and vital signs show what they are given."""

from peft import LoraConfig, get_peft_model

from lora_lessons import lora
from lora_lessons.exhibits import catalogue
from lora_lessons.lessons.l12_bug_museum import exercises_hall_1 as mixture
from lora_lessons.lessons.l12_bug_museum.shown import named, vital_signs


def test_all_linear_leaves_the_experts_of_a_mixture_out_and_a_whole_configuration_does_not():
    linear = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    every = mixture.weights(mixture.tiny_mixture())
    found, whole = (
        mixture.reached(get_peft_model(mixture.tiny_mixture(), config))
        for config in (linear, mixture.config_with_experts())
    )
    assert mixture.share(found, every, "self_attn") == mixture.share(whole, every, "self_attn") == 1
    assert mixture.share(found, every, "experts") == 0 and mixture.share(whole, every) == 1
    left_out = lora.left_out(mixture.tiny_mixture(), {name.removesuffix(".weight") for name in found})
    assert set(left_out) == {name for name in every if "experts" in name}


class Finding:
    def __init__(self, code, sentence):
        self.code, self.sentence = code, sentence


def test_a_plaque_quotes_what_names_its_exhibit_and_nothing_else():
    code = catalogue()["12.2"].found_by[0]
    assert named("12.2", [Finding(code, "The scale is 0.125."), Finding("other", "Something else.")]) == [
        "The scale is 0.125."
    ]
    assert named("12.1", [Finding(code, "The scale is 0.125.")]) == []


def test_vital_signs_show_both_values_in_words_and_as_a_table(monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: displayed.append(bundle))
    vital_signs({"‖ΔW‖ < ‖W‖": (True, 0.12345), "layers": (60, 1210)})
    (shown,) = displayed
    assert (
        shown["text/plain"]
        == "‖ΔW‖ < ‖W‖: yes in this run, 0.1235 in a healthy one\nlayers: 60 in this run, 1,210 in a healthy one"
    )
    assert "‖ΔW‖ &lt; ‖W‖" in shown["text/html"] and shown["text/html"].count("<tr>") == 3
