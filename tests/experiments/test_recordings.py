"""Recordings are quoted as they were measured: damaged, or changed by hand, they are refused with a sentence."""

import json

import pytest

from lora_lessons.experiments import recordings, shipped_adapters
from lora_lessons.paths import course_root, measurements
from lora_lessons.sums import sha256

RUN = {"rows": [{"task": "persona", "loss": 1.25, "note": "naïve"}], "steps": 24, "empty": {}}


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    recordings.keep("one", RUN)
    return tmp_path / "one.json"


def test_what_is_kept_is_read_back(file):
    found = recordings.recorded("one")
    assert RUN.items() <= found.items() and {"machine", "date", "versions"} < found.keys()
    recordings.write(file, found | {"steps": 25})
    assert recordings.recorded("one")["steps"] == 25, "recorded anew, it has a digest of its own"


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 25},
        {"steps": "24"},
        {"rows": None},
        {"rows": [{"task": "persona", "loss": 1.2}]},
        {"rows": {}},
        {"machine": "another"},
        {"more": 1},
        {recordings.DIGEST: "0" * 64},
        {recordings.DIGEST: 5},
    ],
)
def test_a_recording_that_was_changed_by_hand_is_refused(file, change):
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change))
    with pytest.raises(ValueError, match="one.json .*restore it"):
        recordings.recorded("one")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"5", b"\xff\xfe{", b"[" * 100_000])
def test_a_damaged_recording_is_refused(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match="one.json is damaged .*restore it from git"):
        recordings.recorded("one")


def test_a_recording_that_is_missing_says_what_to_do(file):
    with pytest.raises(FileNotFoundError, match="no two.json .*record it anew"):
        recordings.recorded("two")


@pytest.mark.parametrize("file", sorted(measurements().glob("*.json")), ids=lambda file: file.stem)
def test_what_ships_is_as_it_was_recorded(file):
    found = json.loads(file.read_text(encoding="utf-8"))
    if (table := file.with_suffix(".csv")).exists():
        assert found["table_sha256"] == sha256(table), "it says where the table beside it comes from"
    else:
        assert found[recordings.DIGEST] == recordings.digest(recordings.read(file))


def test_the_record_of_the_shipped_adapters_is_as_it_was_made():
    found = json.loads((course_root() / "data" / "adapters" / shipped_adapters.MADE).read_text(encoding="utf-8"))
    assert found[recordings.DIGEST] == recordings.digest(found)


def test_a_recorded_table_says_where_it_is_from_and_is_refused_where_it_was_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    (tmp_path / "t.csv").write_text("r,loss\n8,3.1\n", encoding="utf-8")
    about = {"machine": "m", "date": "d", "table_sha256": recordings.sha256(tmp_path / "t.csv")}
    recordings.write(tmp_path / "t.json", about)
    table = recordings.table("t")
    assert table.query("r == 8").loss.tolist() == [3.1] and table.attrs == {"machine": "m", "date": "d"}
    recordings.write(tmp_path / "runs.json", {"runs": {"a": {"how": {"r": 8}}}})
    assert recordings.table("runs").to_dict("records") == [{"run": "a", "how.r": 8}]
    recordings.write(tmp_path / "listed.json", {"runs": [{"base": "fp4", "seed": 0}]})
    assert recordings.table("listed").to_dict("records") == [{"base": "fp4", "seed": 0}]
    (tmp_path / "t.csv").write_text("r,loss\n8,3.0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="t.csv is not as it was recorded: restore it from git"):
        recordings.table("t")
