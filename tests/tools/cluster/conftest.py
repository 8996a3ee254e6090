"""What the tests of a cluster have: the tiny model in a folder, conversations of unequal length, and runs on them."""

from pathlib import Path
from typing import Any

import pytest
from short_cluster import SETTINGS, in_this_process, make_examples
from tiny import make_tiny_model

from lora_tools import cluster


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model, in fp32."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    make_tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def train_in(base: Path) -> Any:
    """A function that trains the tiny model in some processes, into a folder."""

    def train(processes: int, out: Path, **changed: Any) -> cluster.Outcome:
        wanted: dict[str, Any] = {"base": base, "task": make_examples(), "r": 4, "settings": SETTINGS}
        return cluster.run(processes, out, **wanted | changed)

    return train


@pytest.fixture(scope="session")
def alone(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The unbroken run of one process, which the others are held against: its account and its adapter."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    return in_this_process(folder, base, make_examples()), folder / "adapter"
