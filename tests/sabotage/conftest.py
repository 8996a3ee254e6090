"""Every sabotage is tried when it is asked for (`pytest -m sabotage`, or by its name); otherwise a sample."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the sabotages out that are not in the sample, unless they were asked for."""
    if "sabotage" in config.option.markexpr or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if any(not mark.kwargs["sample"] for mark in item.iter_markers("sabotage"))]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
