"""Batches: padded on the right, or packed in rows whose conversations do not see each other."""

import pytest
import torch

from lora_lessons import tasks


def test_collate_pads_on_the_right_and_hides_the_padding():
    a, b = (tasks.Encoded(torch.arange(n), torch.arange(n)) for n in (3, 5))
    batch = tasks.collate([a, b], pad_id=9)
    assert batch["input_ids"].tolist() == [[0, 1, 2, 9, 9], [0, 1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[0, 1, 2, tasks.IGNORED, tasks.IGNORED], [0, 1, 2, 3, 4]]


def conversations(vocabulary, *lengths):
    """Random conversations; the first half of each is its prompt."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for length in lengths:
        ids = torch.randint(vocabulary, (length,), generator=generator)
        made.append(tasks.Encoded(ids, torch.where(torch.arange(length) < length // 2, tasks.IGNORED, ids)))
    return made


def test_packed_rows_hold_everything_in_order_and_no_more_than_they_may():
    examples = conversations(100, 5, 3, 4, 9, 2)
    rows = tasks.pack(examples, 9)
    assert [len(row.input_ids) for row in rows] == [8, 4, 9, 2]
    assert torch.equal(torch.cat([row.input_ids for row in rows]), torch.cat([one.input_ids for one in examples]))
    assert rows[0].position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    with pytest.raises(ValueError, match="9 tokens and a row 8"):
        tasks.pack(examples, 8)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_loss_of_packed_rows_is_that_of_their_parts(tiny_model, attention):
    """No token looks into another conversation, padding is not taught,
    and no first token is predicted from another's end."""
    tiny_model.set_attn_implementation(attention)
    tiny_model.config.use_cache = False  # as in training: with a cache transformers does not look at position_ids
    examples = conversations(tiny_model.config.vocab_size, 7, 5, 6, 9)
    # the second of the first row teaches from its very first token on
    examples[1] = examples[1]._replace(labels=examples[1].input_ids)
    packed = tasks.collate(tasks.pack(examples, 12), pad_id=0)
    assert "attention_mask" not in packed and packed["input_ids"].shape == (3, 12)
    apart = [tiny_model(**tasks.collate([one], pad_id=0)).loss for one in examples]
    taught = [int((one.labels[1:] != tasks.IGNORED).sum()) for one in examples]
    expected = sum(loss * n for loss, n in zip(apart, taught, strict=True)) / sum(taught)
    assert tiny_model(**packed).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_model_whose_layers_carry_a_state_is_not_packed(tiny_model):
    """Linear attention reads no position_ids: one conversation would leak into the next without an error."""
    from transformers import Mamba2Config, Qwen3NextConfig

    examples = conversations(100, 5, 3)
    for config, kind in (
        (Qwen3NextConfig(num_hidden_layers=4), "linear_attention"),
        (Mamba2Config(), "linear_attention"),
    ):
        with pytest.raises(ValueError, match=f"layers of {kind}, which carry a running state.*padded batches"):
            tasks.pack(examples, 9, config)
    assert len(tasks.pack(examples, 9, tiny_model.config)) == 1
