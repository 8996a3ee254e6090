"""Hall 3 repaired: each function has the name of the broken one in the notebook, and does what that one should.

Solve the exhibits first: this file is where the vital signs of "a healthy run" come from.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ... import lora, models, quant
from .tiny_llama import adamw, lora_config


def load(net: Any, folder: Path) -> Any:
    """14.21: the keys of the file say what the modules are called in `net`."""
    renamed = {
        key.replace(".net.", ".", 1): tensor for key, tensor in load_file(folder / "adapter_model.safetensors").items()
    }
    model = get_peft_model(net, LoraConfig.from_pretrained(str(folder)))
    set_peft_model_state_dict(model, renamed)
    return model


def add_second(model: Any) -> torch.optim.Optimizer:
    """14.22: switch to the new adapter before the optimizer asks what is trainable."""
    model.add_adapter("second", lora_config())
    model.set_adapter("second")
    return adamw(model.parameters())


def attach(net: Any) -> torch.optim.Optimizer:
    """14.23: freeze everything, then put on what learns."""
    net.requires_grad_(False)
    for name in lora.resolve_targets(net, "all-linear"):
        net.set_submodule(name, lora.LoRALinear(net.get_submodule(name), r=4, lora_alpha=8))
    return adamw(net.parameters())


def save_memory(net: Any) -> Any:
    """14.24: a checkpoint that does not ask whether its input wants a gradient."""
    for block in net.model.layers:
        whole = block.forward
        block.forward = lambda x, whole=whole, **more: checkpoint(partial(whole, **more), x, use_reentrant=False)
    return net


def ready(net: Any) -> Any:
    """14.25: no 4-bit layer may repack its weight, whatever runs before training."""
    return models.keep_trainable(net)


def merge(W: Tensor, delta: Tensor) -> quant.Quantized:
    """14.26: merge in 16 bits, round last."""
    return quant.quantize((W.float() + delta).bfloat16(), "nf4")


def merged(model: Any) -> Any:
    """14.27: a head of its own, in the weights and in the configuration, before the merge."""
    head = model.get_base_model().lm_head.base_layer
    head.weight = nn.Parameter(head.weight.detach().clone())
    model.get_base_model().config.tie_word_embeddings = False
    return model.merge_and_unload()


def gradients_in_fp16(model: Any, ids: Tensor, parts: int) -> dict[str, Tensor]:
    """14.28: a large loss has gradients that fp16 can hold; A and B hold them in fp32, where they are divided."""
    scale = 2.0**12
    (scale * model(input_ids=ids, labels=ids).loss / parts).backward()
    return {name: p.grad.float() / scale for name, p in model.named_parameters() if "lora_B" in name}
