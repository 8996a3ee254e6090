"""The course's tokenizer, and a model of any vocabulary that is there at once."""

import pytest
from transformers import AutoTokenizer

from lora_lessons import models
from lora_tools.exporting.formats import environments


@pytest.fixture(scope="session")
def tokenizer():
    return AutoTokenizer.from_pretrained(models.embedded_folder())


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A function that makes `code` the worker of the format "gguf-f16" (which runs in the course's environment)."""

    def put(code):
        monkeypatch.setattr(environments, "WORKERS", tmp_path)
        (tmp_path / "llama_worker.py").write_text(f"import json, os, sys\njob = json.load(open(sys.argv[1]))\n{code}\n")

    return put
