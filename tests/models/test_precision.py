"""Precision is measured, and what was measured before is trusted only when it is whole."""

import json
import shutil

import pytest
import torch

from lora_lessons import models


@pytest.fixture(autouse=True)
def forgotten():
    """What this process measured before, and what these tests made up."""
    models.best_precision.cache_clear()
    yield
    models.best_precision.cache_clear()


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


def test_a_busy_moment_does_not_decide(empty_cache, monkeypatch):
    """Measured once each, the fp32 of the busy moment would lose to a bf16 that is five times as slow."""
    took = {torch.float32: [100.0, 10.0], torch.bfloat16: [50.0, 50.0]}
    monkeypatch.setattr(models.precision, "_layer_ms", lambda dtype: took[dtype].pop(0))
    assert models.best_precision() == models.Precision("fp32", 10.0, 50.0)


def test_of_two_processes_that_measure_at_once_the_second_takes_what_the_first_found(empty_cache, monkeypatch):
    def sooner(dtype):
        file = empty_cache / f"precision-{models.precision._machine_key()}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"name": "bf16", "fp32_ms": 20.0, "bf16_ms": 10.0}))
        return 30.0

    monkeypatch.setattr(models.precision, "_layer_ms", sooner)
    assert models.best_precision() == models.Precision("bf16", 20.0, 10.0)


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
    models.best_precision()
    (file,) = empty_cache.glob("precision-*.json")
    file.write_text(json.dumps(kept))
    models.best_precision.cache_clear()
    found = models.best_precision()
    assert found == models.Precision("bf16", 20.0, 10.0) and json.loads(file.read_text()) == found._asdict()
