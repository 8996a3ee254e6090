"""Trials in 4 bits: who may still learn after an evaluation, and what a merge leaves of an update."""

from __future__ import annotations

import tempfile
import warnings
from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from bitsandbytes.functional import dequantize_4bit
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from .... import mixing, models, quant
from ....adapter import Adapter, read_adapter
from ....paths import course_root
from ..tiny_llama import tiny_llama

NAME = "model.layers.18.mlp.up_proj"


def in_four_bits() -> Any:
    """The tiny Llama in NF4, loaded in the usual way: transformers and bitsandbytes."""
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_llama().save_pretrained(folder)
        return AutoModelForCausalLM.from_pretrained(
            folder, quantization_config=how, dtype=torch.float32, trust_remote_code=False
        )


def repacked(model: Any) -> bool:
    """Whether bitsandbytes repacked a layer of `model` for inference: it does on processors with AVX-512 bf16."""
    return any(getattr(layer.weight.quant_state, "packing_format_for_cpu", False) for layer in _layers(model))


def close(model: Any) -> None:
    """What the repacked product does, by hand, for other processors: no gradient passes through a 4-bit weight."""
    for layer in _layers(model):
        layer.register_forward_hook(lambda _module, _args, out: out.detach())


def _layers(model: Any) -> list[Any]:
    """The 4-bit layers themselves, without the adapters around them."""
    return [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit) and not hasattr(m, "lora_A")]


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
    return Layer(W, adapter.delta(NAME), adapter)


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
        net.to("cpu"), LoraConfig(r=adapter.r, lora_alpha=int(adapter.lora_alpha), target_modules=["up_proj"])
    )
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_((adapter.A if "lora_A" in name else adapter.B)[NAME])
    return model


def weight_of(model: Any) -> Tensor:
    """The 4-bit weight of the only layer, as numbers in fp32."""
    (linear,) = _layers(model)
    return dequantize_4bit(linear.weight.data, linear.weight.quant_state).float()


def kept_of(times: float, layer: Layer) -> float:
    """The share of `times` ΔW that is left of it when it is merged into the 4-bit weight of `layer`."""
    packed, delta = quant.quantize(layer.W.bfloat16(), "nf4"), times * layer.delta
    change = quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float() - quant.dequantize(packed).float()
    return kept(change, delta)


def kept(change: Tensor, delta: Tensor) -> float:
    """The share of ΔW that a change of the weights holds, (change · ΔW) / ‖ΔW‖²: 1 is all of it."""
    return float((change * delta).sum() / delta.square().sum())
