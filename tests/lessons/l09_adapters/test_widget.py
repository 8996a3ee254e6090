"""The adapter mixer without a browser: what it answers, what cancelling leaves, what it refuses."""

import html
import json
import re

import pytest
import torch
from tiny import make_adapter

from lora_lessons import lora, models
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.experiments.prompting import Sample
from lora_lessons.lessons.l09 import widget as mixer
from lora_lessons.lessons.l09.widget import CHOICE

SENT = {*CHOICE, "names", "stops", "offered", "columns", "asked", "heard", "status", "busy"}


@pytest.fixture(scope="module")
def known():
    """Two adapters of the base's shape that change its answers."""
    model = models.load(precision="fp32").model
    return {
        name: make_adapter(model, name, n, ["down_proj"], 0.05, r=2, lora_alpha=4)
        for n, name in enumerate(("one", "two"))
    }


@pytest.fixture
def mixing(base_fp32, known):
    return mixer.adapter_mixer(base_fp32, known, max_new_tokens=12)


def asked(widget, **values):
    for name, value in values.items():
        setattr(widget, name, value)
    widget.start()
    widget.wait()
    return answers(widget)


def page(widget):
    """What stands in the notebook: every kind of output of the widget."""
    bundle = widget._repr_mimebundle_()
    return bundle[0] if isinstance(bundle, tuple) else bundle


def answers(widget):
    return tuple(column["answer"] for column in widget.columns)


def test_the_base_given_is_never_touched(mixing, base_fp32):
    digest = models.weights_digest(base_fp32.model)
    asked(mixing, question="Name a fruit.")
    assert not list(lora.lora_layers(base_fp32.model)) and models.weights_digest(base_fp32.model) == digest
    ours = mixing.base.model.get_submodule("model.layers.0.mlp.down_proj").weight
    assert ours.data_ptr() == base_fp32.model.get_submodule("model.layers.0.mlp.down_proj").weight.data_ptr()


def test_the_titles_say_what_was_asked_and_not_where_the_sliders_are_now(mixing):
    asked(mixing, question="Name a color.", first="one", scale=0.5)
    mixing.scale = 1.5
    assert mixing.columns[1]["title"] == "0.5 × one"


def test_the_sliders_have_every_scale_that_a_mixture_takes(mixing, known):
    for name in ("scale", "scale_second"):
        stops = mixing.stops[name]
        assert (stops[0], stops[-1]) == (-1, 1.5) and {0.0, 0.5, 1.0} < set(stops)
        assert all(mixer.mixture(known, {"one": stop}) is None or stop for stop in stops)


def test_an_error_while_writing_is_said(mixing, monkeypatch):
    monkeypatch.setattr(mixer, "write", lambda *_: 1 / 0)
    asked(mixing, question="Name a color.")
    assert mixing.status == "This went wrong: division by zero" and not mixing.busy


def test_recorded_answers_are_shown_until_the_learner_asks_something_else(base_fp32, known):
    samples = {"one": Sample("Why one?", "base one", "tuned <one>"), "two": Sample("Why two?", "base two", "tuned two")}
    shown = mixer.adapter_mixer(base_fp32, known, 4, samples)
    assert shown.question == "Why one?" and answers(shown) == ("base one", "tuned <one>")
    assert "Recorded answers" in shown.status
    shown.scale = 0.5
    shown.first = "two"
    assert shown.question == "Why two?" and answers(shown) == ("base two", "tuned two")
    assert shown.columns[1]["title"] == "1 × two", "as it was recorded, wherever the slider is"
    shown.question = "My own question?"
    shown.first = "one"
    assert shown.question == "My own question?", "what the learner typed stays"
    still = page(shown)["text/html"]
    assert all(html.escape(text) in still for one in samples.values() for text in one)
    assert "<table>" not in page(mixer.adapter_mixer(base_fp32, known, 4))["text/html"]


def test_what_cannot_be_mixed_is_refused(base_fp32, known):
    name = next(iter(known["one"].A))
    unfit = known["one"]._replace(A=known["one"].A | {name: torch.ones(2, 3)})
    for make, said in (
        (lambda: mixer.mixture(known, {"six": 1.0}), "no adapter is named 'six': choose from one, two"),
        (lambda: mixer.mixture(known, {"one": 7.0}), "choose -1 to 1.5"),
        (lambda: mixer.adapter_mixer(base_fp32, {}), "at least one adapter"),
        (lambda: mixer.adapter_mixer(base_fp32, {"odd": unfit}), "another base model"),
    ):
        with pytest.raises(ValueError, match=said):
            make()
    assert mixer.mixture(known, {"one": 0.0}) is None and mixer.mixture(known, {}) is None


def test_a_page_without_a_kernel_says_what_stands_there(mixing):
    data = page(mixing)
    assert "one, two" in data["text/html"] and "application/vnd.jupyter.widget-view+json" in data
    assert SCENE not in data, "nothing was recorded of these adapters"


def test_what_was_recorded_is_kept_for_a_page_on_which_no_model_runs(base_fp32, known):
    rows = [
        {"question": "Why?", "parts": {}, "answer": "plain"},
        {"question": "Why?", "parts": {"one": 0.5}, "answer": "half"},
        {"question": "Why?", "parts": {"one": 1.0, "two": 0.5}, "answer": "both"},
    ]
    recorded = {"machine": "An abacus, 7 beads", "date": "2026-01-02", "base": {"Why?": "plain"}, "rows": rows}
    kept = page(mixer.adapter_mixer(base_fp32, known, 4, recorded=recorded))[SCENE]
    assert (kept["name"], kept["kind"]) == ("mixer", "mixer")
    assert kept["note"] == "Recorded on 2026-01-02, An abacus, 7 beads. In JupyterLab you can ask anything."
    chosen = [tuple(row[name] for name in CHOICE) for row in kept["answers"]["rows"]]
    assert chosen == [
        ("Why?", "none", 1.0, "none", 1.0),
        ("Why?", "one", 0.5, "none", 1.0),
        ("Why?", "one", 1.0, "two", 0.5),
    ]
    said = [(row["title"], row["base"], row["answer"]) for row in kept["answers"]["rows"]]
    assert said[::2] == [("no adapter", "plain", "plain"), ("1 × one + 0.5 × two", "plain", "both")]
    assert json.loads(json.dumps(kept)) == kept and not SENT - kept["state"].keys()


def test_the_page_half_is_told_all_that_it_asks_for():
    """A trait that the mixer's module reads and the kept scene lacks would be missing where no kernel runs."""
    read = set(re.findall(r'model\.get\("(\w+)"\)', str(mixer.Mixer._esm))) | set(CHOICE)
    assert read and read <= SENT
