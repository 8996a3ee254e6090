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
