"""A 4-bit base that FSDP can cut: its codes kept as numbers of the dtype that everything else is computed in.

bitsandbytes packs two 4-bit codes into each byte of a uint8 tensor. FSDP shards parameters of a floating-point dtype;
accelerate leaves uint8 ones whole on every rank, and older versions trained on what the cut had left of them: loss 0, or
NaN (accelerate#3874, #3983). So the same bytes are looked at as fp32 or bf16 (`bnb_4bit_quant_storage`), which changes
not one of them: (n/2, 1) uint8 → (n/8, 1) fp32. It must be the dtype that FSDP gathers in: cast to another, the bytes
would no longer be codes.
"""

from __future__ import annotations

from typing import Any

import bitsandbytes as bnb
import torch
from torch import nn


def store_as(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Keep the codes of every Linear4bit of `model` as `dtype`, in place: a view of the same bytes.

    The scales (absmax) of each weight stay with its module, from where bitsandbytes fetches them once FSDP has made a
    plain parameter of the codes. Raises ValueError for a weight whose bytes are no whole number of `dtype`s, and
    on a CPU for one whose rows are no whole number of blocks.
    """
    for name, module in model.named_modules():
        if not isinstance(module, bnb.nn.Linear4bit):
            continue
        weight: Any = module.weight
        if weight.nbytes % dtype.itemsize:
            raise ValueError(f"{name} has {weight.nbytes} bytes of codes, which are no whole numbers of {dtype}.")
        if weight.device.type == "cpu" and weight.quant_state.shape[1] % weight.quant_state.blocksize:
            raise ValueError(
                f"{name} has rows of {weight.quant_state.shape[1]}, no whole blocks of {weight.quant_state.blocksize}: "
                "bitsandbytes' kernel for processors takes the scales of other blocks there; use fp32 or bf16."
            )
        codes = weight.data.as_subclass(torch.Tensor).reshape(-1).view(dtype).reshape(-1, 1)
        module.quant_state, module.quant_storage = weight.quant_state, dtype
        module.weight = bnb.nn.Params4bit(
            codes,
            requires_grad=False,
            quant_state=weight.quant_state,
            blocksize=weight.quant_state.blocksize,
            compress_statistics=weight.quant_state.nested,
            quant_type=weight.quant_state.quant_type,
            quant_storage=dtype,
            module=module,
            bnb_quantized=True,
        )
    return model
