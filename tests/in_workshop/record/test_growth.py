"""The growth bench: one thing grows at a time, both ways take the same step, and the tape counts both."""

import pytest
import torch

from lora_lessons import memory
from workshop.record import growth as bench

LLAMA = bench.LLAMA | {
    "hidden_size": 64,
    "intermediate_size": 96,
    "vocab_size": 256,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def small_llama():
    from transformers import AutoConfig

    return AutoConfig.for_model(**LLAMA, num_hidden_layers=2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_row_has_both_ways_and_the_ledger_is_right_about_the_plain_one(precision):
    row = bench.one(r=2, seq=48, blocks=2, repeats=1, precision=precision, llama=LLAMA)
    assert row["predicted"] == pytest.approx(row["bytes"][bench.PLAIN], rel=0.05)
    share = row["bytes"][bench.FAST] / row["bytes"][bench.PLAIN]
    assert 0.5 < share < 1.1 and share != 1 and min(row["seconds"].values()) > 0
    longer = bench.one(r=2, seq=96, blocks=2, repeats=1, precision=precision, llama=LLAMA)
    assert all(longer["bytes"][way] > 1.1 * row["bytes"][way] for way in row["bytes"])


def test_both_ways_take_one_step():
    """From one start, the loss after a step by either way is one number, and another than before."""
    from lora_lessons.fast import FastPath
    from lora_lessons.tasks import Encoded
    from lora_lessons.training.losses import plain

    ids, after = torch.randint(256, (24,), generator=torch.Generator().manual_seed(0)), {}
    text, shape = [Encoded(ids, ids.clone())], memory.shape_of(small_llama())
    for way, made in ((bench.PLAIN, plain), (bench.FAST, lambda model: FastPath(model).loss)):
        torch.manual_seed(0)
        job = memory.Job("lora", 4, seq=24, dtype="fp32", gradient_checkpointing=False, learning_rate=1e-2)
        model, optimizer = memory.build(shape, job, "cpu")
        before = plain(model)(text).item()
        assert bench.step(made(model), text, optimizer) > 0
        after[way] = plain(model)(text).item()
        assert after[way] < before - 1e-4
    assert after[bench.PLAIN] == pytest.approx(after[bench.FAST], abs=1e-5)
