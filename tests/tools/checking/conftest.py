import json

import pytest
from schemas import held

from lora_tools import checking


@pytest.fixture(autouse=True)
def _as_the_schema_says(monkeypatch):
    """Every report of these tests, printed by `check --json`, would be what its schema says."""
    real = checking.check

    def check(*data, **how):
        report = real(*data, **how)
        held("check", report.as_data())
        return report

    monkeypatch.setattr(checking, "check", check)


@pytest.fixture
def checked(tmp_path):
    """A function that writes lines to a file, each given as text, as bytes or as a record, and checks it."""

    def check(*lines, name="x.jsonl", **how):
        texts = [line if isinstance(line, str | bytes) else json.dumps(line) for line in lines]
        (tmp_path / name).write_bytes(b"\n".join(one if isinstance(one, bytes) else one.encode() for one in texts))
        return checking.check(tmp_path / name, **how)

    return check
