"""A model's chat template is a program of somebody else's: one that does not end is said, and never runs here."""

import json
import time

import jinja2
import pytest
from chat_templates import CHATML, LLAMA_2, LLAMA_3, MISTRAL_1, MISTRAL_3, QWEN, ZEPHYR, tokenizer_of

from lora_lessons import models, tasks
from lora_lessons.errors import ModelError
from lora_lessons.models import chat_template, embedded, template_worker

MARKS = "{% generation %}{{ messages[0].content }}{% endgeneration %}"
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
UNFIT = {
    "{{ 'a' * 3000000000 }}": "fills the memory",
    "{% set n = 3000000000 %}{{ [n] * n }}": "fills the memory",
    "{% for a in range(99999) %}twelve words{% endfor %}": (
        "makes more than 1,000,000 characters of a short conversation"
    ),
    "{% include 'other' %}": "includes another file",
    "{% extends 'other' %}": "includes another file",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "cannot be rendered .RecursionError",
    "{{ 'a' * 3e9 }}": "cannot be rendered .TypeError",
    "{% for": "cannot be read as Jinja",
    "{{ messages | nothing }}": "cannot be read as Jinja",
}


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    chat_template._fine.cache_clear()


@pytest.mark.parametrize(("template", "sentence"), list(UNFIT.items())[:4])
def test_an_unfit_template_is_said_with_what_to_do(template, sentence):
    with pytest.raises(
        ModelError, match=f"the chat template of mine {sentence}.*take that model from its maker"
    ) as said:
        chat_template.check_template(tokenizer_of(template), "mine")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(("template", "sentence"), list(UNFIT.items())[2:])
def test_what_is_wrong_is_found_without_a_process(template, sentence):
    import re

    assert re.search(sentence, template_worker.fault(template))


def test_loops_without_end_are_ended(monkeypatch):
    monkeypatch.setattr(chat_template, "SECONDS", 2)
    begun = time.monotonic()
    with pytest.raises(ModelError, match="does not end within 2 seconds"):
        chat_template.check_text(LOOPS, "mine")
    assert time.monotonic() - begun < 300


def test_a_second_template_of_the_same_tokenizer_is_tried_too():
    with pytest.raises(ModelError, match="includes another file"):
        chat_template.check_template(tokenizer_of({"default": CHATML, "tool_use": "{% include 'x' %}"}), "mine")
    with pytest.raises(ModelError, match="is no text"):
        chat_template.check_text(["a"], "mine")


@pytest.mark.parametrize(
    "template", [CHATML, LLAMA_2, LLAMA_3, MISTRAL_1, MISTRAL_3, QWEN, ZEPHYR, MARKS, "{{ raise_exception('no') }}"]
)
def test_the_templates_of_known_families_are_fine(template):
    assert template_worker.fault(template) == ""


def test_the_bases_own_template_is_never_tried_and_others_once(monkeypatch, base_fp32):
    import hashlib

    tried = []
    monkeypatch.setattr(chat_template, "_tried", lambda text: tried.append(text) or {"fine": True})
    chat_template.check_template(base_fp32.tokenizer, "the base")
    text = base_fp32.tokenizer.chat_template
    assert tried == [] and hashlib.sha256(text.encode()).hexdigest() == embedded.EMBEDDED_TEMPLATE_SHA256
    for _ in range(2):
        chat_template.check_text(CHATML, "mine")
    chat_template._fine.cache_clear()
    chat_template.check_text(CHATML, "mine")
    assert tried == [CHATML], "remembered in the cache"


def test_a_folder_with_such_a_template_is_not_loaded(tiny_model, tmp_path):
    folder = tmp_path / "mine"
    tiny_model.save_pretrained(folder)
    tokenizer_of("{% include 'x' %}").save_pretrained(folder)
    for precision in ("fp32", "nf4"):
        with pytest.raises(ModelError, match=r"mine includes another file"):
            models.load(folder, precision=precision)


TALK = {"messages": [{"role": "system", "content": "Be short."}, {"role": "assistant", "content": "Yes."}]}


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no system') }}", "{{ messages[5].content.x }}", "{{ 1 / 0 }}"]
)
def test_a_conversation_that_a_template_refuses_is_a_sentence(template):
    tokenizer = tokenizer_of(template)
    with pytest.raises(ValueError, match="refuses .*conversation") as said:
        models.rendered(tokenizer, TALK["messages"])
    assert not isinstance(said.value, jinja2.TemplateError)
    with pytest.raises(ValueError, match="refuses the conversation"):
        tasks.encode(tokenizer, TALK)


def test_a_tokenizer_without_an_end_token_is_a_sentence():
    tokenizer = tokenizer_of(CHATML)
    tokenizer.eos_token = None
    with pytest.raises(ValueError, match="names no end token"):
        tasks.encode(tokenizer, {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})


def test_what_the_worker_hears_and_says_is_json(capsys):
    assert json.loads(json.dumps(template_worker.fault("{% for \ud800"))).startswith("cannot be read as Jinja")
