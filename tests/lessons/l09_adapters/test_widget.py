"""The adapter mixer without a browser: what it answers, what cancelling leaves, what it refuses."""

import html
import threading

import pytest
import torch

from lora_lessons import lora, models
from lora_lessons.adapter import adapter_of
from lora_lessons.experiments.prompting import Sample
from lora_lessons.lessons.l09_adapters import widget as mixer
from lora_lessons.mixing import attached, weighted_sum


@pytest.fixture(scope="module")
def known():
    """Two adapters of the base's shape that change its answers."""
    base = models.load(precision="fp32")
    made = {}
    for seed, name in enumerate(("one", "two")):
        lora.attach(base.model, r=2, lora_alpha=4, target_modules=["down_proj"], seed=seed)
        for _, layer in lora.lora_layers(base.model):
            layer.lora_B.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(seed))
        made[name] = adapter_of(base.model, name)
        lora.detach(base.model)
    return made


@pytest.fixture
def mixing(base_fp32, known):
    return mixer.adapter_mixer(base_fp32, known, max_new_tokens=12)


def asked(widget, **values):
    for name, value in values.items():
        getattr(widget, name).value = value
    widget.start()
    widget.wait()
    return widget._said["base"], widget._said["mixed"]


def test_the_answers_are_the_models_own(mixing, base_fp32, known):
    question = "Name a color."
    with attached(base_fp32.model, weighted_sum([(known["one"], 0.5), (known["two"], -1)])):
        expected = models.chat(base_fp32, question, 12)
    plain = models.chat(base_fp32, question, 12)
    assert asked(mixing, prompt=question, first="one", scale=0.5, second="two", scale_second=-1) == (plain, expected)
    assert plain != expected and "Done: " in mixing.status.value and mixing.stop.disabled
    assert html.escape(plain) in mixing.plain.value and "0.5 × one + -1 × two" in mixing.mixed.value
    assert asked(mixing, scale=0, second="none") == (plain, plain)


def test_the_base_given_is_never_touched(mixing, base_fp32):
    digest = models.weights_digest(base_fp32.model)
    asked(mixing, prompt="Name a fruit.")
    assert not list(lora.lora_layers(base_fp32.model)) and models.weights_digest(base_fp32.model) == digest
    ours = mixing.base.model.get_submodule("model.layers.0.mlp.down_proj").weight
    assert ours.data_ptr() == base_fp32.model.get_submodule("model.layers.0.mlp.down_proj").weight.data_ptr()


def test_cancelling_keeps_what_was_said_and_the_next_answer_is_whole(mixing, base_fp32):
    first_token, go_on = threading.Event(), threading.Event()
    tell = mixing._tell

    def slow(column, text):
        tell(column, text)
        first_token.set()
        go_on.wait(20)

    mixing._tell = slow
    mixing.prompt.value = "Tell me a long story."
    mixing.start()
    assert first_token.wait(60) and not mixing.stop.disabled
    mixing.cancel()
    go_on.set()
    mixing.wait()
    assert "Cancelled." in mixing.status.value and mixing._said["base"] and not mixing._said["mixed"]
    assert mixing.stop.disabled and not list(lora.lora_layers(mixing.base.model))
    mixing._tell = tell
    assert asked(mixing, prompt="Name a color.")[0] == models.chat(base_fp32, "Name a color.", 12)


def test_enter_asks(mixing, base_fp32):
    mixing.prompt.value = "Name a color."
    mixing.prompt._handle_msg(
        {"content": {"data": {"method": "custom", "content": {"event": "submit"}}}, "buffers": []}
    )
    mixing.wait()
    assert mixing._said["base"] == models.chat(base_fp32, "Name a color.", 12)


def test_its_controls_have_names_of_their_own(mixing):
    controls = (mixing.first, mixing.scale, mixing.second, mixing.scale_second, mixing.prompt)
    names = [control.description for control in controls]
    assert len(set(names)) == len(names) and all(names)


def test_recorded_answers_are_shown_until_the_learner_asks_something_else(base_fp32, known):
    samples = {"one": Sample("Why one?", "base one", "tuned <one>"), "two": Sample("Why two?", "base two", "tuned two")}
    shown = mixer.adapter_mixer(base_fp32, known, 4, samples)
    assert shown.prompt.value == "Why one?" and "tuned &lt;one&gt;" in shown.mixed.value
    assert "Recorded answers" in shown.status.value
    shown.first.value = "two"
    assert shown.prompt.value == "Why two?" and "base two" in shown.plain.value
    shown.prompt.value = "My own question?"
    shown.first.value = "one"
    assert shown.prompt.value == "My own question?", "what the learner typed stays"
    still = shown.still()
    assert all(html.escape(text) in still for one in samples.values() for text in one)
    assert "<table>" not in mixer.adapter_mixer(base_fp32, known, 4).still()


def test_what_cannot_be_answered_is_said(mixing):
    mixing.prompt.value = "  "
    mixing.start()
    assert "Type a question first." in mixing.status.value and not mixing._thread.is_alive()


def test_mixtures(known):
    assert mixer.mixture(known, {"one": 0.0}) is None and mixer.mixture(known, {}) is None
    with pytest.raises(ValueError, match="no adapter is named 'six': choose from one, two"):
        mixer.mixture(known, {"six": 1.0})
    with pytest.raises(ValueError, match="choose -1 to 1.5"):
        mixer.mixture(known, {"one": 7.0})


def test_an_empty_or_unfit_choice_is_refused(base_fp32, known):
    with pytest.raises(ValueError, match="at least one adapter"):
        mixer.adapter_mixer(base_fp32, {})
    name = next(iter(known["one"].A))
    with pytest.raises(ValueError, match="another base model"):
        mixer.adapter_mixer(base_fp32, {"odd": known["one"]._replace(A=known["one"].A | {name: torch.ones(2, 3)})})


def test_a_page_without_a_kernel_says_what_stands_there(mixing):
    bundle = mixing._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "one, two" in data["text/html"] and "application/vnd.jupyter.widget-view+json" in data
