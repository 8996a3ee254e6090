"""One real layer in 4 bits with a real adapter on it, as PEFT holds them; and what a merge leaves of the update."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import dequantize_4bit
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from torch import Tensor, nn

from ... import models
from ...adapter import Adapter, read_adapter
from ...paths import course_root

NAME = "model.layers.18.mlp.up_proj"


class Layer(NamedTuple):
    """A Linear of the embedded base, and what an adapter of the course adds to it: W and ΔW, both d×k, fp32."""

    W: Tensor
    delta: Tensor
    adapter: Adapter


def one_layer() -> Layer:
    """`NAME` of the embedded base, and the strict-JSON adapter of lesson 09."""
    adapter = read_adapter(course_root() / "data" / "adapters" / "strict_json")
    with safe_open(models.embedded_folder() / "model.safetensors", "pt") as file:
        W = file.get_tensor(f"{NAME}.weight")
    return Layer(W, adapter.scaling * adapter.B[NAME] @ adapter.A[NAME], adapter)


def on_four_bits(layer: Layer) -> Any:
    """A PEFT model of this one layer: bitsandbytes' Linear4bit in NF4, with the adapter on."""
    d, k = layer.W.shape
    linear = bnb.nn.Linear4bit(
        k, d, bias=False, compute_dtype=torch.float32, quant_type="nf4", compress_statistics=False
    )
    linear.weight = bnb.nn.Params4bit(
        layer.W.bfloat16(), requires_grad=False, quant_type="nf4", compress_statistics=False
    )
    net: Any = nn.Sequential()
    net.add_module("up_proj", linear)
    # what transformers sets on a model that it loads in 4 bits
    net.is_loaded_in_4bit = True
    adapter = layer.adapter
    model = get_peft_model(
        net.to("cpu"), LoraConfig(r=adapter.r, lora_alpha=adapter.lora_alpha, target_modules=["up_proj"])
    )
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_((adapter.A if "lora_A" in name else adapter.B)[NAME])
    return model


def merge_and_unload(model: Any) -> Any:
    """PEFT's own merge, without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.merge_and_unload()


def weight_of(model: Any) -> Tensor:
    """The 4-bit weight of the only layer, as numbers in fp32."""
    (linear,) = (
        module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit) and not hasattr(module, "lora_A")
    )
    return dequantize_4bit(linear.weight.data, linear.weight.quant_state).float()


def kept(change: Tensor, delta: Tensor) -> float:
    """The share of ΔW that a change of the weights holds, (change · ΔW) / ‖ΔW‖²: 1 is all of it."""
    return float((change * delta).sum() / delta.square().sum())
