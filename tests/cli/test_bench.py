"""`lora-lessons bench`: tables for people, one JSON object for programs, and a file where one is asked for."""

import json

import pytest

from lora_tools import cli
from lora_tools.bench import ledger, training_speed


def test_as_json_standard_output_is_one_stamped_object_and_nothing_else(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(training_speed, "measure", lambda *_: print("a table") or {"seconds": 1.5})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "train", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert said.err == "a table\n"
    assert (found["bench"], found["seconds"]) == ("train", 1.5) and {"machine", "date", "versions"} <= set(found)
    assert cli.main(["bench", "train"]) == 0
    assert capsys.readouterr().out == "a table\n"


@pytest.mark.parametrize("what", ["train", "memory"])
def test_a_recording_of_the_course_is_replaced_only_where_that_is_asked(what, monkeypatch, tmp_path, capsys):
    places = []
    monkeypatch.setattr(training_speed, "measure", lambda out, *_: places.append(out) or {})
    monkeypatch.setattr(ledger, "measure_all", lambda model, out: places.append(out) or [{"status": "ok"}])
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", what]) == cli.main(["bench", what, "--record"]) == 0
    assert places == [tmp_path / f"bench-{what}.json", None]
    assert cli.main(["bench", what, "--record", "--out", "x.json"]) == 2 and "leave it out" in capsys.readouterr().err


@pytest.mark.parametrize("status, exit_status", [("ok", 0), ("failed", 3)])
def test_the_ledgers_rows_are_json_too_and_a_ledger_of_failures_is_one(status, exit_status, monkeypatch, capsys):
    monkeypatch.setattr(ledger, "measure_all", lambda model, out: print(model) or [{"status": status}])
    assert cli.main(["bench", "memory", "--json", "--model", "there"]) == exit_status
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"] == [{"status": status}] and said.err == "there\n"


def test_a_folder_where_the_file_should_be_is_said_before_anything_is_measured(monkeypatch, tmp_path, refused):
    monkeypatch.setattr(ledger, "measure_all", lambda *_: pytest.fail("it was measured"))
    refused(["bench", "memory", "--out", str(tmp_path)], "is a folder, and a file")
    (tmp_path / "afile").write_text("mine")
    refused(["bench", "memory", "--out", str(tmp_path / "afile" / "x.json")], "afile is a file")


def test_a_base_of_ones_own_and_its_precision_go_to_the_training_bench(monkeypatch, tmp_path, refused):
    asked = []
    monkeypatch.setattr(training_speed, "measure", lambda out, *of: asked.append(of) or {})
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", "train", "--model", "org/base", "--precision", "nf4"]) == 0
    assert asked == [("org/base", "nf4")]
    refused(["bench", "memory", "--precision", "nf4"], "belongs to `lora-lessons bench train`")
    refused(["bench", "train", "--model", "org/base", "--record"], "leave out --record, or the base.")
    assert len(asked) == 1
