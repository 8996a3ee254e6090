"""GPTQ (Frantar et al. 2022) by llmcompressor; loaded back by transformers with compressed-tensors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from measuring import Job, main, say, sixteen_bit
from transformers import AutoModelForCausalLM


def quantize(job: Job) -> Job:
    """Write the model in int4, one scale and one zero point for each group of weights in a row."""
    # ten seconds, which who loads the model back need not spend
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier

    model = sixteen_bit(job, torch.float32)  # the Hessians want fp32
    rows = job["calibration"]
    say(f"GPTQ over {len(rows)} windows of calibration text")
    weights = QuantizationArgs(num_bits=4, type="int", symmetric=False, strategy="group", group_size=job["group_size"])
    recipe = GPTQModifier(
        config_groups={"all": QuantizationScheme(targets=["Linear"], weights=weights)}, ignore=["lm_head"]
    )
    oneshot(
        model=model,
        dataset=Dataset.from_dict({"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}),
        recipe=recipe,
        max_seq_length=max(map(len, rows)),
        num_calibration_samples=len(rows),
    )
    model.to(torch.bfloat16).save_pretrained(job["target"], save_compressed=True)
    return {"tool": "llmcompressor", "version": version("llmcompressor")}


def load(job: Job) -> tuple[Any, str]:
    """The model back; on a CPU compressed-tensors has no int4 kernel and unpacks to `dtype` at the first forward."""
    model = AutoModelForCausalLM.from_pretrained(
        job["target"], dtype=getattr(torch, job["dtype"]), use_safetensors=True, trust_remote_code=False
    )
    return (
        model.eval(),
        f"transformers {version('transformers')} with compressed-tensors {version('compressed-tensors')}",
    )


if __name__ == "__main__":
    main(quantize, load)
