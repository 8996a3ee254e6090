"""Weights in 4 bits as bitsandbytes holds them, and what a processor makes of them.

Packed codes, and the scales of blocks of 64 in 8 bits; products taken a slice at a time.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import (
    QuantState,
    dequantize_4bit,
    dequantize_blockwise,
    get_4bit_type,
    quantize_4bit,
    quantize_blockwise,
)
from torch import Tensor, nn
from torch.nn.functional import linear

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


# Weights dequantized at a time: 4 MB in bf16, which stay in the processor's cache.
SLICE = 1 << 21
# Outputs of a 16-bit head computed at a time.
ROWS = 8192


class SlicedLinear4bit(bnb.nn.Linear4bit):
    """bitsandbytes' Linear4bit, which on a CPU dequantizes a large weight slice by slice instead of all at once.

    The numbers are the same: each sum is taken whole, in the same order. A slice of SLICE weights stays in the processor's cache
    and its memory is used again for the next one; the whole (136 MB for an MLP of a 7B) is asked of the system anew
    for each product, and handing it out takes longer than filling it.

    Rows that are no whole number of blocks (96 inputs, say) are taken as one long row: with them bitsandbytes' kernel for
    AVX-512 (0.50.2) takes the scales of other blocks, without a word, and the layer's output is far off.
    """

    def forward(self, x: Tensor) -> Tensor:
        state: Any = getattr(self.weight, "quant_state", None)
        if x.device.type != "cpu" or self.compute_dtype is None or state is None:
            return super().forward(x)
        bias = None if self.bias is None else self.bias.to(self.compute_dtype)
        if state.shape[1] % state.blocksize:
            return _Whole4bit.apply(x.to(self.compute_dtype), self.weight, state, bias).to(x.dtype)
        if not _can_slice(self.weight, state):
            return super().forward(x)
        return _Sliced4bit.apply(x.to(self.compute_dtype), self.weight, state, bias).to(x.dtype)


def _can_slice(codes: Tensor, state: Any) -> bool:
    """Large enough to be worth it, in whole blocks, and laid out as `packed` lays it out."""
    if state is None or codes.dtype != torch.uint8 or not state.nested or state.blocksize != BLOCKSIZE:
        return False
    return state.shape.numel() >= 2 * SLICE and state.shape[1] % BLOCKSIZE == 0


class _Sliced4bit(torch.autograd.Function):
    """x·Wᵀ + bias by rows of W; its gradient g·W by columns of W, so that each sum is taken whole."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, state: QuantState, bias: Tensor | None) -> Tensor:
        ctx.state, ctx.codes = state, codes
        codes, absmax, (d, k) = *_tables(codes, state), state.shape
        out, step = x.new_empty(*x.shape[:-1], d), max(1, SLICE // k)
        for i in range(0, d, step):
            some = slice(i, min(i + step, d))
            part = _dequantized(codes[some], absmax[some], state, x.dtype)
            out[..., some] = linear(x, part, None if bias is None else bias[some])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,), state = grads, ctx.state
        codes, absmax, (d, k) = *_tables(ctx.codes, state), state.shape
        out, step = grad.new_empty(*grad.shape[:-1], k), max(1, SLICE // d // BLOCKSIZE) * BLOCKSIZE
        for j in range(0, k, step):
            end = min(j + step, k)
            some, blocks = codes[:, j // 2 : end // 2], absmax[:, j // BLOCKSIZE : end // BLOCKSIZE]
            out[..., j:end] = grad @ _dequantized(some.contiguous(), blocks.contiguous(), state, grad.dtype)
        return out, None, None, None


class _Whole4bit(torch.autograd.Function):
    """x·Wᵀ + bias with W dequantized as one long row, in forward and again in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: Tensor, state: QuantState, bias: Tensor | None) -> Tensor:
        ctx.state, ctx.codes = state, codes
        return linear(x, _one_row(codes, state, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return grads[0] @ _one_row(ctx.codes, ctx.state, grads[0].dtype), None, None, None


def _one_row(codes: Tensor, state: QuantState, dtype: torch.dtype) -> Tensor:
    row = copy(state)
    row.shape = torch.Size((1, state.shape.numel()))
    return dequantize_4bit(codes.detach().as_subclass(Tensor), row).view(state.shape).to(dtype)


def _tables(codes: Tensor, state: QuantState) -> tuple[Tensor, Tensor]:
    """Codes as d × k/2 and absmax as d × k/64, in float32."""
    d, k = state.shape
    absmax = dequantize_blockwise(state.absmax, state.state2) + state.offset
    return codes.detach().as_subclass(Tensor).view(d, k // 2), absmax.view(d, k // BLOCKSIZE)


def _dequantized(codes: Tensor, absmax: Tensor, state: QuantState, dtype: torch.dtype) -> Tensor:
    shape = (codes.shape[0], codes.shape[1] * 2)
    return torch.ops.bitsandbytes.dequantize_4bit(codes, absmax, BLOCKSIZE, state.quant_type, shape, dtype)


class WidenedLinear(nn.Linear):
    """A frozen Linear held in 16 bits and computed in the input's fp32, ROWS outputs at a time.

    For processors that are slow in bf16: the head of Qwen2.5-7B is 1.1 GB in bf16 and would be 2.2 GB in fp32.
    """

    def forward(self, x: Tensor) -> Tensor:
        h = _Widened.apply(x, self.weight)
        return h if self.bias is None else h + self.bias


class _Widened(torch.autograd.Function):
    """x·Wᵀ with W widened slice by slice, forward and backward; W gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        out = x.new_empty(*x.shape[:-1], weight.shape[0])
        for start in range(0, weight.shape[0], ROWS):
            part = weight[start : start + ROWS]
            out[..., start : start + len(part)] = x @ part.to(x.dtype).T
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,), (weight,) = grads, ctx.saved_tensors
        total = grad.new_zeros(*grad.shape[:-1], weight.shape[1])
        for start in range(0, weight.shape[0], ROWS):
            part = weight[start : start + ROWS]
            total += grad[..., start : start + len(part)] @ part.to(grad.dtype)
        return total, None
