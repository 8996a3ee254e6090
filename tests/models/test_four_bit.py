"""Weights in 4 bits, packed piece by piece, are those of bitsandbytes."""

import pytest
import torch
from bitsandbytes.functional import quantize_4bit

from lora_lessons.models import four_bit
from lora_lessons.models.four_bit import Format


@pytest.mark.parametrize("quant_type", four_bit.FORMATS)
@pytest.mark.parametrize("shape", [(64, 64), (33, 50), (7, 3), (1, 64 * 300)])
def test_pieces_are_packed_as_the_whole(monkeypatch, quant_type, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    whole, state = quantize_4bit(weight, quant_type=quant_type, compress_statistics=True)
    monkeypatch.setattr(four_bit, "PIECE", 64 * 4)
    mine = four_bit.quantized(weight, Format(quant_type, torch.bfloat16))
    assert torch.equal(mine.data, whole)
    for name, tensor in state.as_dict(packed=True).items():
        assert torch.equal(mine.quant_state.as_dict(packed=True)[name], tensor), name
