"""fp16 trains with a scaled loss."""

import copy

import pytest
from short_run import SHORT, broken_and_whole, same

from lora_lessons import lora
from lora_lessons.training import train


def test_fp16_trains_with_a_scaled_loss_and_resumes(tiny_model, examples, tmp_path):
    half = copy.deepcopy(tiny_model).half()
    lora.attach(half, r=4)
    (broken, one), (whole, other) = broken_and_whole(lambda: copy.deepcopy(half), SHORT, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert broken.loss_scale == whole.loss_scale
    assert whole.loss_scale["scale"] == 2.0**12 and whole.loss_scale["_growth_tracker"] == SHORT.steps
    lora.attach(tiny_model, r=4)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "fp32")
    assert whole.losses == pytest.approx(plain.losses, abs=0.02) and plain.loss_scale == {}


def test_what_learns_in_fp16_is_refused_with_what_to_do(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    with pytest.raises(ValueError, match="would learn in fp16.*attach the adapters then"):
        train(tiny_model.half(), examples, SHORT, run_dir=tmp_path)
