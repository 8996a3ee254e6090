"""`python -m workshop record NAME`: every verb finds its recorder, and hands on what it was given."""

import importlib

import pytest

from workshop.__main__ import main as workshop
from workshop.record import course, survives, verbs
from workshop.record.papers import recording


@pytest.mark.parametrize("name", verbs.PLAIN)
def test_a_verb_without_options_is_its_module(name, monkeypatch):
    asked = []
    monkeypatch.setattr(
        importlib.import_module(f"workshop.record.{name.replace('-', '_')}"), "record", lambda: asked.append(name)
    )
    assert workshop(["record", name]) == 0 and asked == [name]
    assert workshop(["record", name, "more"]) == 2


@pytest.mark.parametrize(
    ("words", "module", "given"),
    [
        (["survives"], survives, (tuple(survives.TITLES),)),
        (["survives", "gptq"], survives, (["gptq"],)),
        (["course"], course, (False,)),
        (["course", "--run"], course, (True,)),
        (["papers"], recording, (recording.base_named("embedded"),)),
        (["papers", "--size", "qwen2.5-coder-0.5b"], recording, (recording.base_named("qwen2.5-coder-0.5b"),)),
    ],
    ids=str,
)
def test_what_is_asked_goes_to_the_recorder(words, module, given, monkeypatch):
    asked = []
    monkeypatch.setattr(module, "record", lambda *of: asked.append(of))
    assert workshop(["record", *words]) == 0 and asked == [given]


def test_what_there_is_not_is_said(monkeypatch, capsys):
    monkeypatch.setattr(recording, "record_reaches", lambda: None)
    assert workshop(["record", "papers", "--reaches"]) == 0 and workshop(["record", "rates"]) == 2
    assert workshop(["record", "papers", "--size", "7B"]) == 2
    assert "--size 7B: there is no such size; choose from embedded" in capsys.readouterr().err
