"""Lesson 08's table of contexts: the model it plans is the published one, and the plans are the planner's own."""

import pytest

from lora_lessons import memory
from lora_lessons.lessons.l08_qlora_7b import published


def test_the_model_is_llama_3_1_8b():
    model, _ = memory.build(published.SHAPES["Llama-3.1-8B"](), memory.Job("full", gradient_checkpointing=False))
    assert sum(p.numel() for p in model.parameters()) == 8_030_261_248


def test_each_row_is_planned_for_its_card():
    for row in published.contexts():
        assert row.hf == pytest.approx(row.published, rel=0.1) and row.hf < row.today < row.course
        job = memory.Job("qlora", 32, seq=row.hf, recipe="hf", loss="shifted")
        assert memory.predict(published.SHAPES["Llama-3.1-8B"](), job).bill.total <= row.gib * 2**30
