"""Random weights in 4 bits look like a fresh initialisation after quantization."""

import itertools

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from tiny_folders import SIZES, steps

from lora_lessons import lora, models
from lora_lessons.models import four_bit, random_weights
from lora_lessons.models.four_bit import Format


@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
def test_random_blocks_look_like_a_quantised_fresh_weight(quant_type):
    form = Format(quant_type, torch.float32)
    mine = random_weights.RandomBlocks(0.02, form, torch.Generator().manual_seed(0)).weight(torch.Size((2048, 1024)))
    real = four_bit.quantized(torch.randn(2048, 1024, generator=torch.Generator().manual_seed(1)) * 0.02, form)
    one, other = (dequantize_4bit(p.data, p.quant_state) for p in (mine, real))
    assert one.std().item() == pytest.approx(0.02, rel=0.01) and abs(one.mean().item()) < 1e-4
    assert one.std().item() == pytest.approx(other.std().item(), rel=0.005)
    shares = [
        torch.bincount(torch.cat([p.data >> 4, p.data & 15]).flatten().int(), minlength=16) / one.numel()
        for p in (mine, real)
    ]
    assert (shares[0] - shares[1]).abs().max() < 0.002
    if quant_type == "nf4":  # the docstring's word on why random bytes would not do
        assert shares[1][15] < 0.6 * shares[1][7] and shares[1].min() < 0.05 < 1 / 16


def test_a_random_7b_has_its_layers_and_repeats_by_seed():
    tiny = {k: v for k, v in SIZES.items() if not k.endswith("id")}
    one, same, other = (
        models.random_base("Qwen2.5-7B", compute_dtype=torch.float32, device="cpu", seed=s, **tiny) for s in (0, 0, 1)
    )
    assert models.weights_digest(one) == models.weights_digest(same) != models.weights_digest(other)
    assert one.base_fingerprint == same.base_fingerprint != other.base_fingerprint
    assert len(lora.attach(one)) == 2 * 7 and one.lm_head.weight.dtype == torch.bfloat16  # not wider than needed
    first, _ = steps(one, 10)
    assert abs(first[0] - torch.tensor(128.0).log()) < 0.2 and first[-1] < first[0] - 0.5
    assert not any(p.is_meta for p in itertools.chain(one.parameters(), one.buffers()))
    with pytest.raises(ValueError, match="Llama-2-7B"):
        models.random_base("Qwen-0B")
    with pytest.raises(ValueError, match="no 4-bit format"):
        models.random_base("Qwen2.5-7B", "int4", **tiny)
