"""What Go's templates render, as Go itself recorded it."""

import json
from pathlib import Path

import pytest

from lora_tools.exporting.ollama import gosyntax, gotemplate
from lora_tools.exporting.ollama.chatform import TEMPLATES

GO = json.loads((Path(__file__).parent / "go_templates.json").read_text(encoding="utf-8"))
ONLY_GO = ("{{ with ", "(index .Messages 0).Role", "{{ break }}")  # Go renders these, and here they are refused by name


def rendered(case):
    messages = tuple(gosyntax.Message(m["role"], m["content"]) for m in case["messages"])
    values = {
        "System": case["system"],
        "Messages": messages,
        "Tools": (),
        "Response": "",
        "Think": False,
        "IsThinkSet": False,
    }
    try:
        return gotemplate.render(case["template"], values)
    except gosyntax.TemplateError:
        return None


def test_what_go_rendered_is_what_is_rendered_here():
    assert GO["recorded"].startswith("go1.") and len(GO["cases"]) > 50
    agreed = 0
    for case in GO["cases"]:
        if any(words in case["template"] for words in ONLY_GO):
            assert case["output"] is not None and rendered(case) is None
        else:
            assert rendered(case) == case["output"], case["template"]
            agreed += case["output"] is not None
    assert agreed > 40


def test_every_template_was_rendered_by_go_as_it_is_now():
    assert set(TEMPLATES.values()) <= {case["template"] for case in GO["cases"]}


TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}] * 3
NESTED = "{{ range $.Messages }}" * 12 + "x" + "{{ end }}" * 12


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ .Prompt }} {{ .Response }}", "does not name .Messages"),
        ("{{ range .Messages }}", "has no {{ end }}"),
        ("{{ .Messages | json }}", r"\| is not known here"),
        ("{{ range .Messages }}{{ .Contents }}{{ end }}", ".Contents: a message has no such field"),
        ("{{ range .Messages }}{{ . }}{{ end }}", "name its .Content"),
        (NESTED, "takes more than 100,000 steps"),
        ("{{ range .Messages }}{{ end }}" + "{{ if eq 1 (len $.Messages) }}" * 2500, "nested too deep"),
        ("{{ range .Messages }}{{ end }}{{ eq 1 " + "(len " * 3000 + "1" + ")" * 3000 + " }}", "nested too deep"),
        ("{{ range .Messages }}{{ end }}" + "x" * 100_000, "100,000 are read here"),
        ("{{ range .Messages }}{{ end }}{{ eq 1 " + "9" * 5000 + " }}", "Go would not run this template"),
    ],
    ids=[
        "no messages",
        "no end",
        "a pipe",
        "no such field",
        "no field",
        "loops",
        "ifs",
        "brackets",
        "length",
        "a number",
    ],
)
def test_a_template_that_is_not_understood_or_would_not_end_is_a_sentence(template, sentence):
    with pytest.raises(gosyntax.TemplateError, match=sentence):
        gotemplate.chat(template, TALK)


def test_comparisons_inside_comparisons_are_worked_out_once():
    asked = []
    compared = gosyntax.FUNCTIONS["lt"](lambda: asked.append(1) or 1, lambda: asked.append(2) or 2)
    assert compared is True and asked == [1, 2]


def test_messages_of_one_role_are_joined_as_ollama_joins_them():
    talk = [
        {"role": role, "content": text}
        for role, text in (("system", "A"), ("user", "B"), ("user", "C"), ("system", "D"))
    ]
    assert gotemplate.chat("{{ range .Messages }}{{ .Role }}:{{ .Content }}|{{ end }}{{ .System }}", talk) == (
        "system:A|user:B\n\nC|system:D|A\n\nD"
    )
