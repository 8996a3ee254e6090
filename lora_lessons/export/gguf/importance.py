"""An importance matrix: how loudly each column of each matrix is read, as llama.cpp's own `llama-imatrix` counts it.

    calibration text ──→ what each layer reads, x ──→ mean of x² over the tokens, one number a column

llama.cpp then chooses codes so that errors in loud columns are small, and lets quiet columns pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from . import names


@torch.no_grad()
def importance(model: Any, windows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """The mean of x² of each input of each Linear in the blocks (fp32), by llama.cpp's names, over the token ids.

    Raises ValueError when there is no window.
    """
    if not windows:
        raise ValueError("an importance matrix needs calibration text: give at least one window of token ids.")
    architecture, _ = names.ARCHITECTURES[model.config.model_type]
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
        names.gguf_name(f"{name}.weight", architecture, blocks): (summed / tokens).cpu()
        for name, summed in total.items()
    }
