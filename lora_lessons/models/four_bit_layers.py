"""The products of a CPU with frozen weights in 4 and 16 bits, a slice at a time; each sum is still taken whole.

x (tokens×k) ── a slice of W's codes ── dequantized in the processor's cache ── x·Wᵀ for these rows ── the next slice
"""

from __future__ import annotations

from copy import copy
from typing import Any

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit, dequantize_blockwise
from torch import Tensor, nn
from torch.nn.functional import linear

from .four_bit import BLOCKSIZE

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
