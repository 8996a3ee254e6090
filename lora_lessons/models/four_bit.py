"""Weights in 4 bits as bitsandbytes holds them, and what a processor makes of them.

Packed codes, and the scales of blocks of 64 in 8 bits; products taken a slice at a time.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import (
    QuantState,
    dequantize_blockwise,
    get_4bit_type,
    quantize_4bit,
    quantize_blockwise,
)
from torch import Tensor, nn
from torch.nn.functional import linear

from .frozen import FrozenProduct, WidenedLinear

# 4-bit floats with 16 levels each.
FORMATS = ("nf4", "fp4")
# Weights that share one absmax.
BLOCKSIZE = 64
# Weights quantized at a time: on a CPU bitsandbytes needs some 17 bytes of scratch for each.
PIECE = 1 << 22


class Format(NamedTuple):
    """How frozen weights are held, and in what number format they are computed with."""

    quant_type: str  # one of FORMATS; "" for weights that are held in `compute_dtype`
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


# Bytes of a weight that are dequantized at a time. Half of it or less, and a product is slower for being cut; twice as
# much, and the C library no longer keeps the memory for the next slice, but asks the system for it anew.
SLICE = 1 << 24


class SlicedLinear4bit(bnb.nn.Linear4bit):
    """bitsandbytes' Linear4bit, which on a CPU dequantizes a large weight slice by slice instead of all at once.

    The numbers are the same: each sum is taken whole, in the same order. The memory of a slice of SLICE bytes is used
    again for the next one; the whole (136 MB for an MLP of a 7B) is asked of the system anew for each product, and
    handing it out takes longer than filling it.

    Rows that are no whole number of blocks (96 inputs, say) are taken as one long row: with them bitsandbytes' kernel
    for AVX-512 (0.50.2) takes the scales of other blocks, without a word, and the layer's output is far off.
    """

    def forward(self, x: Tensor) -> Tensor:
        # on "meta" it stands for a processor, where a plan wants to know what its products hold
        elsewhere = x.device.type not in ("cpu", "meta")
        if elsewhere or self.compute_dtype is None or getattr(self.weight, "quant_state", None) is None:
            return super().forward(x)
        h: Tensor = FrozenProduct.apply(x.to(self.compute_dtype), self)
        return h.to(x.dtype)

    def product(self, x: Tensor) -> Tensor:
        """x·Wᵀ + bias by rows of W, dequantized in x's number format."""
        codes, state = self._packed()
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if not _can_slice(codes, state, x.dtype):
            return linear(x, _whole(codes, state, x.dtype), bias)
        codes, absmax, (d, k) = *_tables(codes, state), state.shape
        out, step = x.new_empty(*x.shape[:-1], d), max(1, _weights(x.dtype) // k)
        for i in range(0, d, step):
            some = slice(i, min(i + step, d))
            part = _dequantized(codes[some], absmax[some], state, x.dtype)
            out[..., some] = linear(x, part, None if bias is None else bias[some])
        return out

    def add_back(self, total: Tensor, grad: Tensor) -> None:
        """total += grad·W by columns of W, so that each sum is taken whole."""
        codes, state = self._packed()
        if not _can_slice(codes, state, grad.dtype):
            total.addmm_(grad, _whole(codes, state, grad.dtype))
            return
        codes, absmax, (d, k) = *_tables(codes, state), state.shape
        step = max(1, _weights(grad.dtype) // d // BLOCKSIZE) * BLOCKSIZE
        for j in range(0, k, step):
            end = min(j + step, k)
            some, blocks = codes[:, j // 2 : end // 2], absmax[:, j // BLOCKSIZE : end // BLOCKSIZE]
            total[:, j:end].addmm_(grad, _dequantized(some.contiguous(), blocks.contiguous(), state, grad.dtype))

    def _packed(self) -> tuple[Tensor, Any]:
        weight: Any = self.weight
        return weight.detach().as_subclass(Tensor), weight.quant_state


def _weights(dtype: torch.dtype) -> int:
    """How many weights a slice has."""
    return SLICE // dtype.itemsize


def _can_slice(codes: Tensor, state: QuantState, dtype: torch.dtype) -> bool:
    """Large enough to be worth it, in whole blocks, and laid out as `packed` lays it out."""
    if codes.dtype != torch.uint8 or state.blocksize != BLOCKSIZE:
        return False
    return state.shape.numel() >= 2 * _weights(dtype) and state.shape[1] % BLOCKSIZE == 0


def _absmax(state: QuantState) -> Tensor:
    """The scale of each block, in float32."""
    return dequantize_blockwise(state.absmax, state.state2) + state.offset if state.nested else state.absmax


def _tables(codes: Tensor, state: QuantState) -> tuple[Tensor, Tensor]:
    """Codes as d × k/2 and absmax as d × k/64, in float32."""
    d, k = state.shape
    return codes.view(d, k // 2), _absmax(state).view(d, k // BLOCKSIZE)


def _dequantized(codes: Tensor, absmax: Tensor, state: QuantState, dtype: torch.dtype) -> Tensor:
    shape = (codes.shape[0], codes.shape[1] * 2)
    return torch.ops.bitsandbytes.dequantize_4bit(codes, absmax, BLOCKSIZE, state.quant_type, shape, dtype)


def _whole(codes: Tensor, state: QuantState, dtype: torch.dtype) -> Tensor:
    """All of W (d × k), dequantized as one long row."""
    row, absmax = (1, state.shape.numel()), _absmax(state)
    W = torch.ops.bitsandbytes.dequantize_4bit(codes, absmax, state.blocksize, state.quant_type, row, dtype)
    return W.view(state.shape)


def make_stock(model: Any) -> None:
    """The same weights as transformers loads them: bitsandbytes' own layer,
    embeddings and head in the compute dtype."""
    dtype = model.config.quantization_config.bnb_4bit_compute_dtype
    for module in model.modules():
        if isinstance(module, SlicedLinear4bit):
            module.__class__ = bnb.nn.Linear4bit  # type: ignore[assignment]
        elif isinstance(module, WidenedLinear):
            module.__class__ = nn.Linear  # type: ignore[assignment]
            module.to(dtype)
    model.get_input_embeddings().to(dtype)
