"""Settings: impossible ones are refused, and the rate rises, then falls."""

import pytest

from lora_lessons.training import Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1.5},
        {"gradient_accumulation_steps": 0},
        {"gradient_accumulation_steps": 2.0},
        {"gradient_checkpointing": "no"},
        {"max_grad_norm": 0},
        {"max_grad_norm": float("inf")},
        {"max_grad_norm": "1"},
        {"learning_rate": 0},
        {"learning_rate": 1},
        {"learning_rate": "eight"},
        {"warmup": -1},
        {"checkpoint_every": True},
        {"lr_ratio": 0},
        {"max_grad_norm": True},
        {"weight_decay": -0.1},
        {"weight_decay": float("nan")},
        {"weight_decay": "0.1"},
        {"weight_decay": None},
        {"lr_ratio": "16"},
        {"lr_ratio": float("inf")},
        {"steps": 10**9},
        {"steps": 10**5, "batch_size": 10**4},
        {"steps": 10**4, "batch_size": 10**2, "gradient_accumulation_steps": 10**3},
        {"seed": 2**63},
        {"seed": 1.5},
        {"seed": None},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_the_rate_rises_then_falls():
    s = Settings(steps=10, batch_size=2, warmup=3, learning_rate=0.1)
    rates = [s.rate(i) for i in range(10)]
    assert rates[0] < rates[1] < rates[2] < rates[3] == pytest.approx(0.1) and rates[-1] < rates[-2] < rates[4]


def test_the_least_that_is_allowed_is_allowed():
    least = Settings(steps=1, batch_size=1, warmup=0, checkpoint_every=0)
    assert least.rate(0) == least.learning_rate


def test_a_warmup_longer_than_the_run_ends_with_its_last_step():
    s = Settings(steps=3, batch_size=1, warmup=9, learning_rate=0.3)
    assert [s.rate(i) for i in range(3)] == pytest.approx([0.1, 0.2, 0.3])
