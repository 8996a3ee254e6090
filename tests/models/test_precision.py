"""Precision is measured, and what was measured before is trusted only when it is whole."""

import json
import shutil

import pytest
import torch

from lora_lessons import models


def test_precision_is_the_faster_one_and_is_kept(empty_cache, monkeypatch):
    for fp32_ms, bf16_ms, name in ((20.0, 9.0, "bf16"), (20.0, 500.0, "fp32"), (20.0, 19.5, "fp32")):
        models.best_precision.cache_clear()
        shutil.rmtree(empty_cache, ignore_errors=True)
        monkeypatch.setattr(
            models.precision, "_layer_ms", lambda dtype, a=fp32_ms, b=bf16_ms: a if dtype == torch.float32 else b
        )
        found = models.best_precision()
        assert found.name == name and f"{fp32_ms:.0f} ms in fp32" in found.why
        (kept,) = empty_cache.glob("precision-*.json")
        assert json.loads(kept.read_text())["name"] == name
    models.best_precision.cache_clear()
    assert models.best_precision().name == "fp32"  # read back, not measured
    models.best_precision.cache_clear()


@pytest.mark.parametrize(
    "kept",
    [
        {"name": "fp64", "fp32_ms": 20.0, "bf16_ms": 10.0},
        {"name": "fp32", "fp32_ms": 20.0, "bf16_ms": 10.0},
        {"name": "bf16", "fp32_ms": "20", "bf16_ms": "10"},
        {"name": "bf16", "fp32_ms": 20.0, "bf16_ms": 0},
        {"name": "bf16", "fp32_ms": float("nan"), "bf16_ms": 10.0},
        {"name": "bf16", "fp32_ms": 20.0},
        ["bf16", 20.0, 10.0],
        None,
    ],
)
def test_a_kept_measurement_that_makes_no_sense_is_made_anew(empty_cache, monkeypatch, kept):
    monkeypatch.setattr(models.precision, "_layer_ms", lambda dtype: 20.0 if dtype == torch.float32 else 10.0)
    models.best_precision.cache_clear()
    models.best_precision()
    (file,) = empty_cache.glob("precision-*.json")
    file.write_text(json.dumps(kept))
    models.best_precision.cache_clear()
    found = models.best_precision()
    models.best_precision.cache_clear()
    assert found == models.Precision("bf16", 20.0, 10.0) and json.loads(file.read_text()) == found._asdict()
