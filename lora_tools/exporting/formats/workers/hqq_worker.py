"""HQQ (Badri and Shaji 2023) by hqq itself: no calibration text; saved as safetensors,
loaded back by hqq's own layer."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from measuring import Job, linears, main, say, sixteen_bit
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

WEIGHTS = "model.safetensors"


def quantize(job: Job) -> Job:
    """Round every Linear to int4 in groups; zero points are then fitted to the weights, not to any text."""
    model = sixteen_bit(job, torch.float32)  # a processor's fp32 is the fastest here
    layers = linears(model)
    for done, (name, layer) in enumerate(layers):
        if done % 70 == 0:
            say(f"HQQ, layer {done} of {len(layers)}")
        model.set_submodule(
            name,
            HQQLinear(
                layer,
                BaseQuantizeConfig(nbits=4, group_size=job["group_size"], axis=1),
                compute_dtype=torch.float32,
                device="cpu",
            ),
        )
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    state = {
        name: (tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor).contiguous()
        for name, tensor in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(state, Path(job["target"]) / WEIGHTS, metadata={"format": "hqq"})
    model.config.save_pretrained(job["target"])
    return {"tool": "hqq", "version": version("hqq")}


def load(job: Job) -> tuple[Any, str]:
    """The model back: a skeleton by its configuration, HQQ layers in it, then the weights."""
    dtype = getattr(torch, job["dtype"])
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(job["target"], trust_remote_code=False)
        shapes = linears(AutoModelForCausalLM.from_config(config, trust_remote_code=False))
    config = AutoConfig.from_pretrained(job["target"], trust_remote_code=False)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False).eval()
    for name, _ in shapes:
        model.set_submodule(name, HQQLinear(None, None, compute_dtype=dtype, device="cpu"))
    state = load_file(Path(job["target"]) / WEIGHTS)
    for name, tensor in state.items():
        if tensor.dtype == torch.bfloat16:
            state[name] = tensor.to(dtype)
    lacking = model.load_state_dict(state, strict=False).missing_keys
    if set(lacking) - {"lm_head.weight"}:
        raise ValueError(f"the file lacks {lacking[0]}")
    model.tie_weights()
    return model, f"hqq {version('hqq')}"


if __name__ == "__main__":
    main(quantize, load)
