"""An adapter beside its base, for exports that go wrong half way."""

import shutil

import pytest
from exporting import peft_adapter


@pytest.fixture
def mine(tiny, tmp_path):
    """An adapter for the tiny Qwen, and that base, side by side in a folder of one test's own."""
    folder, model, _ = tiny("qwen2")
    shutil.copytree(folder, tmp_path / "base")
    peft_adapter(model, tmp_path / "mine", ["q_proj"])
    return tmp_path
