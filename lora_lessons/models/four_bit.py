"""Weights in 4 bits as bitsandbytes holds them: packed codes, and the scales of blocks of 64 in 8 bits.

W (d×k) → blocks of 64 → 4-bit codes, two a byte + one absmax a block, itself in 8 bits (QLoRA, section 3)
"""

from __future__ import annotations

from typing import NamedTuple

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import QuantState, get_4bit_type, quantize_4bit, quantize_blockwise
from torch import Tensor

# 4-bit floats with 16 levels each.
FORMATS = ("nf4", "fp4")
# Weights that share one absmax.
BLOCKSIZE = 64
# Weights quantized at a time: on a CPU bitsandbytes needs some 17 bytes of scratch for each.
PIECE = 1 << 22


class Format(NamedTuple):
    """How frozen weights are held, and in what number format they are computed with."""

    quant_type: str  # one of FORMATS
    compute_dtype: torch.dtype
    device: str = "cpu"


def pack(weight: Tensor, quant_type: str) -> tuple[Tensor, Tensor]:
    """The codes of `weight` (n/2 × 1, uint8) and a float32 absmax for each block, by bitsandbytes, piece by piece.

    Blocks do not know of each other: pieces of whole blocks give the same bytes as the whole, without its scratch.
    """
    pieces = []
    for piece in weight.reshape(-1).split(PIECE):
        codes, state = quantize_4bit(piece, blocksize=BLOCKSIZE, quant_type=quant_type)
        pieces.append((codes, state.absmax))
    return torch.cat([codes for codes, _ in pieces]), torch.cat([absmax for _, absmax in pieces])


def quantized(weight: Tensor, form: Format) -> bnb.nn.Params4bit:
    """`weight` (already in the compute dtype, on its device) as a frozen 4-bit parameter."""
    return packed(*pack(weight, form.quant_type), weight.shape, form)


def packed(codes: Tensor, absmax: Tensor, shape: torch.Size, form: Format) -> bnb.nn.Params4bit:
    """A frozen 4-bit parameter from codes and absmax; the absmax go to 8 bits in blocks of 256, around their mean."""
    offset = absmax.mean()
    absmax_8bit, second = quantize_blockwise(absmax - offset, blocksize=256)
    state = QuantState(
        absmax=absmax_8bit,
        shape=shape,
        code=get_4bit_type(form.quant_type, device=codes.device),
        blocksize=BLOCKSIZE,
        quant_type=form.quant_type,
        dtype=form.compute_dtype,
        offset=offset,
        state2=second,
    )
    return _parameter(codes, state)


def restored(codes: Tensor, parts: dict[str, Tensor], form: Format) -> bnb.nn.Params4bit:
    """A frozen 4-bit parameter from what a state_dict keeps of one: its codes and the parts of its QuantState."""
    state = QuantState.from_dict({name: t.clone() for name, t in parts.items()}, device=torch.device(form.device))
    # What backward dequantizes to; the file may come from another machine.
    state.dtype = form.compute_dtype
    return _parameter(codes.to(form.device, copy=True), state)


def _parameter(codes: Tensor, state: QuantState) -> bnb.nn.Params4bit:
    return bnb.nn.Params4bit(
        codes,
        requires_grad=False,
        quant_state=state,
        blocksize=state.blocksize,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        quant_storage=codes.dtype,
        bnb_quantized=True,
    )
