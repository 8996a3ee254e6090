"""What --json prints: one document, as its schema says, whatever the answer is; and the exit status beside it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest
from chat_templates import CHATML, tokenizer_of
from jsonschema import Draft202012Validator
from schemas import faults
from tiny import make_tiny_model
from tiny_configs import tiny

from lora_lessons import lora, models
from lora_lessons.adapter import save_adapter
from lora_lessons.paths import course_root, measurements
from lora_lessons.run import doctor
from lora_tools import cli
from lora_tools.cli.as_json import SCHEMAS
from lora_tools.cli.options import ANSWERS

NAMES = sorted(file.stem for file in SCHEMAS.glob("*.json"))
PLAN = ["plan", "base", "--r", "2"]
PERSONA = str(course_root() / "data" / "adapters" / "persona")
GOOD = '{"prompt": "Which leaf makes tea?", "completion": "Camellia sinensis."}\n'
PREFERENCE = '{"prompt": "Tea?", "chosen": "Yes, please.", "rejected": "No."}\n'
# What stands in a configuration of somebody else's, and what -p sets or a cell measured, is named by no schema of ours.
OPEN = {"others", "parameters", "rows", "value"}


@pytest.fixture
def asked(capsys):
    """A function that runs a command with --json: its exit status and the one document on standard output."""

    def ask(*words):
        status = cli.main([*map(str, words), "--json"])
        said = capsys.readouterr()
        document = json.loads(said.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        if status in (cli.EXIT_USER, cli.EXIT_FAILED):
            assert faults("error", document) == [] and document["status"] == status
            assert said.err.endswith(f"lora-lessons: {document['error']}\n")
        else:
            assert faults(words[0], document) == []
        return status, document

    return ask


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the commands below are given: training files, a base of config and tokenizer,
    an adapter that never moved."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "good": GOOD * 4,
        "bad": f"{GOOD}{{}}\n{GOOD}not JSON\n",
        "preferences": PREFERENCE * 4,
        "empty": "",
        "personal": '{"prompt": "Who?", "completion": "Ada, ada@lovelace.org, +44 20 7946 0958."}\n',
        "tools": json.dumps({"messages": [{"role": "user", "content": "Now?"}], "tools": [{"type": "function"}]}),
        "hostile": json.dumps({"prompt": "\u001b[31m\u202e\ud800", "completion": "\u0000"}) + "\n",
    }.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    (tmp_path / "list.json").write_text(json.dumps([json.loads(GOOD)] * 3))
    tokenizer_of(CHATML, begin=False).save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "config.json").write_text(json.dumps(tiny("llama").to_dict(), default=str))
    (tmp_path / "gemma").mkdir()
    (tmp_path / "gemma" / "config.json").write_text(json.dumps(tiny("gemma2").to_dict(), default=str))
    model = make_tiny_model()
    lora.attach(model, r=2)
    save_adapter(model, tmp_path / "still", base_name="tiny")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([*PLAN, "--gpu", "24"], 0),
        ([*PLAN, "--gpu", "0.5", "--method", "full"], 1),
        ([*PLAN, "--gpu", "0.6", "--seq", "999", "--batch-size", "64", "--no-gradient-checkpointing"], 1),
        ([*PLAN, "--gpu", "24", "--recipe", "hf", "--targets", "q_proj,v_proj", "--loss", "chunked"], 0),
        ([*PLAN, "--cards", "2x24", "--seq", "256"], 0),
        ([*PLAN, "--cards", "2x0.5", "--offload", "--fsdp", "1"], 1),
        (["plan", "gemma", "--gpu", "24", "--r", "2"], 0),
        ([*PLAN, "--gpu", "GTX 1"], 2),
        (["plan", "nonsense"], 2),
        (["plan"], 2),
        (["check", "good.jsonl"], 0),
        (["check", "good.jsonl", "--base", "base", "--held-out", "good.jsonl"], 1),
        (["check", "bad.jsonl"], 1),
        (["check", "preferences.jsonl", "--base", "base"], 0),
        (["check", "personal.jsonl", "--base", "base"], 0),
        (["check", "tools.jsonl", "--base", "base"], 1),
        (["check", "hostile.jsonl"], 1),
        (["check", "list.json"], 0),
        (["check", "good.jsonl", "--base", "base", "--max-tokens", "20"], 1),
        (["check", "empty.jsonl"], 2),
        (["check", "nowhere.jsonl"], 2),
        (["inspect", PERSONA], 0),
        (["inspect", "still"], 1),
        (["inspect", "still", "--before", "still"], 1),
        (["inspect", "base"], 2),
        (["symptom", "loss falls, answers unchanged"], 0),
        (["symptom", "my cat is orange"], 1),
        (["symptom", " "], 2),
        (["claims"], 0),
        (["base"], 0),
        (["base", "nonsense"], 2),
        (["export", "rank", PERSONA, "--r", "2", "--out", "cut"], 0),
        (["export", "rank", PERSONA, "--r", "900", "--out", "cut"], 2),
        (["export", "gguf", "base", "--out", "out"], 2),
        (["export", "ollama", "base"], 2),
        (["bench", "memory", "--precision", "nf4"], 2),
        (["run", "00_aa"], 2),
        (["swep"], 2),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_every_answer_is_one_document_as_its_schema_says(asked, folder, words, status):
    found, document = asked(*words)
    assert found == status, document


def test_a_plan_without_a_card_has_the_same_keys_and_null(asked, folder, monkeypatch):
    monkeypatch.setattr(models, "card", lambda: None)
    status, without = asked(*PLAN)
    assert status == 0 and without["fits"] is without["card"] is without["room"] is without["longest"] is None
    assert without["change_first"] == [] and without.keys() == asked(*PLAN, "--gpu", "24")[1].keys()


def test_a_base_that_is_removed_and_a_doctor_are_documents_too(asked, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "_answers", lambda url, seconds: False)
    monkeypatch.setattr(doctor.fetching, "index_answers", lambda: True)
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("bf16", 20.0, 10.0))
    assert asked("base", "embedded", "--remove") == (0, {"name": "embedded", "freed_bytes": 0})
    assert asked("doctor")[0] == 0
    monkeypatch.setitem(doctor._PROBES, "memory", lambda: 1 / 0)
    monkeypatch.setenv("LORA_LESSONS_ROOT", str(tmp_path))
    status, found = asked("doctor")
    assert status == 0 and found["memory"]["failed"] is found["lessons"]["(none)"]["failed"] is True
    assert "run inside the cloned course" in found["lessons"]["(none)"]["says"]


def test_a_run_prints_its_report_and_nothing_else(asked, make_lesson, tmp_path):
    shows = "from lora_lessons.course.lesson import Handover\nHandover(['Your adapter: there'])"
    make_lesson("03_a", "from lora_lessons.course.records import record\nrecord('x', 0.5)", shows)
    status, report = asked("run", "03")
    (lesson,) = report["lessons"]
    assert status == 0 and lesson["handed_over"] == ["Your adapter: there"]
    make_lesson("04_b", "raise ValueError('no')")
    assert cli.main(["run", "04", "--out", str(tmp_path / "other"), "--json"]) == cli.EXIT_FAILED
    assert faults("run", json.loads((tmp_path / "other" / "report.json").read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("what", "recorded"),
    [("memory", "ledger_processor"), ("train", "training_speed"), ("train", "training_speed_1.5b")],
)
def test_what_was_recorded_by_a_bench_is_as_its_schema_says(what, recorded):
    kept = json.loads((measurements() / f"{recorded}.json").read_text(encoding="utf-8"))
    assert faults("bench", {"bench": what, **kept}) == []
    assert faults("bench", {"bench": what, **kept, "speed": 1}) != []


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_names_every_key_and_none_comes_and_goes(name, capsys):
    assert cli.main(["schema", name]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema" and schema["title"]

    def walk(one, called):
        if isinstance(one, dict):
            if one.get("type") in ("object", ["object", "null"]) and called not in OPEN:
                assert one.get("additionalProperties", True) is not True, called
                if name != "bench":
                    assert one.get("required", []) == list(one.get("properties", {})), called
            for key, value in one.items():
                walk(value, called if key in ("items", "anyOf") else key)
        elif isinstance(one, list):
            for value in one:
                walk(value, called)

    walk(schema, name)


def commands():
    """(words, function) of every command, those of `export` and `cluster` included."""
    groups = [(one.typer_instance, [one.typer_instance.info.name]) for one in cli.app.registered_groups]
    for group, before in ((cli.app, []), *groups):
        for one in group.registered_commands:
            yield [*before, one.name or one.callback.__name__], one.callback


def test_every_command_with_json_has_a_schema_and_every_schema_a_command(capsys):
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out.split() == NAMES
    asked_for_json = {words[0] for words, callback in commands() if "as_json" in inspect.signature(callback).parameters}
    assert asked_for_json | {"error"} == set(NAMES)
    assert cli.main(["schema", "plann"]) == 2 and "choose one of base, bench" in capsys.readouterr().err


def test_help_says_what_the_exit_status_means_as_the_page_does(capsys):
    page = " ".join((course_root() / "docs" / "from-a-script.md").read_text(encoding="utf-8").split())
    listed = [words for words, _ in commands()]
    assert {*ANSWERS} <= {" ".join(words) for words in listed}
    for words in listed:
        assert cli.main([*words, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.partition("Exit status:")[2].split())
        yes, no = ANSWERS.get(words[0], ("done", ""))
        assert said.startswith(
            f"0 {yes}; {f'1 {no}; ' if no else ''}2 what was given cannot be; 3 it could not be done"
        ), words
        assert f"| {yes} | {no} |" in page or not no, words


def test_a_mistake_of_ours_is_no_answer():
    """Python alone ends with 1 after a traceback, which would say that it does not fit."""
    code = (
        "from lora_tools.cli import __main__ as command\nfrom lora_lessons.run import doctor\n"
        "doctor.examine = lambda: 1 / 0\nimport sys; sys.argv = ['lora-lessons', 'doctor', '--json']\ncommand.program()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == cli.EXIT_FAILED and done.stdout == "" and "ZeroDivisionError" in done.stderr
