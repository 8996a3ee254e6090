"""Random weights in 4 bits that look like a fresh initialisation after quantization, made in seconds for a 7B."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import bitsandbytes as bnb
import torch
from torch import Tensor, nn

from ..machine import version
from . import filling
from .four_bit import BLOCKSIZE, Format, pack, packed, quantized


class RandomBlocks:
    """Random weights in 4 bits, without a 16-bit one ever drawn.

    65,536 blocks of 64 normal numbers (std `std`) are quantized once; a weight is put together from blocks of this
    pool, each chosen at random and taken with its absmax. So every block is a truly quantized normal block: its codes,
    its absmax and the weight's std are what a fresh initialisation has after quantization. Random bytes would not do: a
    normal block uses the outer levels far less often than the inner ones.
    """

    POOL = 1 << 16

    def __init__(self, std: float, form: Format, generator: torch.Generator) -> None:
        self.std, self.form, self.generator = std, form, generator
        codes, self.absmax = pack(self._normal(self.POOL * BLOCKSIZE), form.quant_type)
        # 32 bytes a block, as four numbers.
        self.codes = codes.view(-1).view(torch.int64).view(self.POOL, BLOCKSIZE // 16)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.form.device).mul_(self.std)

    def weight(self, shape: torch.Size) -> bnb.nn.Params4bit:
        """A random weight of `shape`; one that is no whole number of blocks is drawn and quantized."""
        if shape.numel() % BLOCKSIZE:
            return quantized(self._normal(*shape).to(self.form.compute_dtype), self.form)
        count = shape.numel() // BLOCKSIZE
        chosen = torch.randint(self.POOL, (count,), generator=self.generator, device=self.form.device)
        codes = self.codes.index_select(0, chosen).view(torch.uint8).view(-1, 1)
        return packed(codes, self.absmax[chosen], shape, self.form)


def random_model(config: Any, form: Format, seed: int = 0) -> Any:
    """A model of `config`'s architecture with random weights in 4 bits, as a fresh initialisation would have them.

    Linears come from RandomBlocks with std = config.initializer_range; embeddings and head are normal in 16
    bits, norms are 1, biases 0. Memory and speed are those of the real model; what it says is noise.
    """
    model = filling.empty_model(config, form)
    generator = torch.Generator(form.device).manual_seed(seed)
    std = getattr(config, "initializer_range", 0.02)
    blocks = RandomBlocks(std, form, generator)
    names = filling.parameters_to_fill(model)
    for name in filling.shown(names, "random weights"):
        shape, owner = names[name].shape, filling.owner_of(model, name)
        if filling.is_four_bit(owner, name):
            parameter: nn.Parameter = blocks.weight(shape)
        elif filling.is_embedding_or_head(model, owner):
            dtype = filling.wide_dtype(torch.bfloat16, form.compute_dtype)
            weight = torch.empty(shape, dtype=dtype, device=form.device)
            parameter = filling.frozen(weight.normal_(0, std, generator=generator))
        else:
            # Gemma's norms add the 1 themselves.
            fill = 0.0 if name.endswith("bias") or "Gemma" in type(owner).__name__ else 1.0
            parameter = filling.frozen(torch.full(shape, fill, dtype=form.compute_dtype, device=form.device))
        filling.put(model, name, parameter)
    described = json.dumps([config.to_dict(), *map(str, form), seed, version("torch")], sort_keys=True, default=str)
    return filling.finished(model, form, f"random {hashlib.sha256(described.encode()).hexdigest()}")
