import pytest
from peft_zoo import base_folder as base_folder
from peft_zoo import zoo as zoo
from schemas import held

from lora_tools import inspection


@pytest.fixture(autouse=True)
def _as_the_schema_says(monkeypatch):
    """Every X-ray of these tests, printed by `inspect --json`, would be what its schema says."""
    real = inspection.inspect

    def inspect(*adapter, **how):
        xray = real(*adapter, **how)
        held("inspect", inspection.as_json(xray))
        return xray

    monkeypatch.setattr(inspection, "inspect", inspect)
