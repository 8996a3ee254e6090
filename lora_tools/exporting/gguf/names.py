"""What changes on the way to llama.cpp: a tensor's name, the order of the rows of q and k, and alpha.

By the same names goes an importance matrix: how loudly each column of each matrix is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lora_lessons.adapter import Adapter
from lora_lessons.errors import ModelError
from lora_lessons.lora import scale
from lora_lessons.models import gguf_tensors

ELSEWHERE = "convert it with convert_hf_to_gguf.py from the llama.cpp repository, which knows more of them"

# model_type → the architecture's name in llama.cpp, and whether its rows of q and k change order there.
# Gemma is not among them: it needs GELU, 1 added to each norm, windows with a rotary base of their own, and a
# vocabulary that our proof of the tokens has never seen. llama.cpp's converter writes it.
ARCHITECTURES = {
    "llama": ("llama", True),
    "mistral": ("llama", True),
    "qwen2": ("qwen2", False),
    "qwen3": ("qwen3", False),
}

EXPORTED = tuple(ARCHITECTURES)


def why_not_exported(model_type: str) -> str:
    """Why no GGUF of Hugging Face's `model_type` is written here, as half a sentence without a full stop;
    "" where it is."""
    if model_type in ARCHITECTURES:
        return ""
    return f"a {model_type} is not exported here ({', '.join(EXPORTED)} are): {ELSEWHERE}"


def architecture(model_type: str) -> str:
    """The name in llama.cpp of Hugging Face's `model_type`. Raises ModelError for one that is not exported here."""
    if reason := why_not_exported(model_type):
        raise ModelError(f"{reason}.")
    return ARCHITECTURES[model_type][0]


def gguf_name(name: str, architecture: str, blocks: int) -> str:
    """model.layers.0.self_attn.q_proj.weight → blk.0.attn_q.weight. Raises ModelError for a tensor llama.cpp lacks."""
    name_there = gguf_tensors.gguf_name(name, architecture, blocks)
    if name_there is None:
        raise ModelError(f"{name} has no place in llama.cpp's {architecture}: {ELSEWHERE}.")
    return name_there


def permuted(rows: Tensor, heads: int) -> Tensor:
    """The rows of q or k in llama.cpp's order: Hugging Face turns row i with row i + half,
    llama.cpp rows 2i and 2i + 1.

    Within each head 0 1 2 3 | 4 5 6 7 becomes 0 4 1 5 2 6 3 7. Rotary embedding turns rows in pairs; which two are a
    pair is a convention, and a file must keep the convention of the program that reads it.
    """
    return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2).contiguous()


def gguf_alpha(adapter: Adapter) -> float:
    """alpha as llama.cpp needs it, which always divides by r: with rsLoRA √r is folded in (α·√r / r = α/√r)."""
    return scale(adapter.r, adapter.lora_alpha, adapter.use_rslora) * adapter.r


def factor_of_b(adapter: Adapter, layer: str) -> float:
    """What B of one layer is multiplied by, because the file has one alpha: α_i/α, and with rsLoRA √(r_i/r) as well.

    llama.cpp divides alpha by the rank of the layer's own tensors, so that a rank of its own needs nothing more.
    """
    factor = adapter.alpha(layer) / adapter.lora_alpha
    return factor * math.sqrt(len(adapter.A[layer]) / adapter.r) if adapter.use_rslora else factor


@torch.no_grad()
def importance(model: Any, windows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The mean of x² of each input of each Linear in the blocks (fp32), by llama.cpp's names, over the token ids.

    Raises ValueError when there is no window.
    """
    if not windows:
        raise ValueError("an importance matrix needs calibration text: give at least one window of token ids.")
    architecture, _ = ARCHITECTURES[model.config.model_type]
    total: dict[str, Tensor] = {}
    tokens = 0

    def add(name: str, x: Tensor) -> None:
        total[name] = total.get(name, 0) + x.flatten(0, -2).float().square().sum(0)

    hooks = [
        module.register_forward_pre_hook(lambda _, args, n=name: add(n, args[0]))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
    ]
    try:
        for window in windows:
            model(torch.tensor([list(window)], device=model.device))
            tokens += len(window)
    finally:
        for hook in hooks:
            hook.remove()
    blocks = model.config.num_hidden_layers
    return {
        gguf_name(f"{name}.weight", architecture, blocks): (summed / tokens).cpu() for name, summed in total.items()
    }
