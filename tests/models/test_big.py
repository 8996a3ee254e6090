"""Bases that take gigabytes (`pytest -m big`: 1.6 GB to fetch where they are not here, 11 GB of disk, some minutes)."""

import json
import subprocess
import sys

import pytest
from random_ggufs import q4_k_m, write

from lora_lessons import models
from lora_lessons.models import SHAPES

LOAD = """
import json, sys, time
import torch
from lora_lessons import models
from lora_lessons.machine import peak_bytes
begun = time.monotonic()
base = models.load(sys.argv[1], "nf4", "cpu", getattr(torch, sys.argv[2]))
seconds = time.monotonic() - begun
print(json.dumps([peak_bytes(), seconds, models.base_weights(base.model), models.chat(base, "Hi", max_new_tokens=2)]))
"""


@pytest.mark.big
@pytest.mark.parametrize("compute", ["bfloat16", "float32"])
def test_a_7b_in_q4_k_m_becomes_nf4_in_under_8_gb(tmp_path, monkeypatch, compute):
    shape = dict(SHAPES["Qwen2.5-7B"])
    file = write(tmp_path / "7b.gguf", shape.pop("model_type"), q4_k_m(shape["num_hidden_layers"]), **shape)
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    for kept in (False, True):
        run = subprocess.run([sys.executable, "-c", LOAD, file, compute], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        peak, seconds, weights, _ = json.loads(run.stdout.splitlines()[-1])
        about = f"kept: {kept}, compute: {compute}, peak {peak / 1e9:.2f} GB, {seconds:.0f} s"
        print(about, f"{file.stat().st_size / 1e9:.2f} GB of file")
        assert peak < 8e9, about
        assert weights == 7_615_616_512


@pytest.mark.big
@pytest.mark.parametrize("name", models.NAMED)
def test_a_named_base_is_what_its_table_says_and_answers(name):
    one = models.NAMED[name]
    config = models.config_in_gguf(models.named_file(one))
    assert one.config == {key: config[key] for key in one.config}
    base = models.load(name, "bf16", "cpu")
    assert 2 * base.model.num_parameters() == one.unpacked
    assert "Paris" in models.chat(base, "What is the capital of France?", 12)
