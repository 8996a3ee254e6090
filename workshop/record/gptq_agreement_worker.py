"""GPTQ by llmcompressor: a script that runs in its own environment, without this package."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path


def quantize(folder: str) -> None:
    """Every W of in.safetensors, with its H, by llmcompressor's GPTQ: as weights, to out.safetensors."""
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.utils import calculate_qparams
    from llmcompressor.modifiers.gptq.gptq_quantize import quantize_weight
    from safetensors.torch import load_file, save_file

    given, made = load_file(f"{folder}/in.safetensors"), {}
    for key, W in given.items():
        if not key.startswith("W."):
            continue
        name, groups = key.removeprefix("W."), W.unflatten(1, (-1, 64))
        for bits in (4, 3):
            for order in ("static", None):
                args = QuantizationArgs(num_bits=bits, symmetric=False, strategy="group", group_size=64, actorder=order)
                scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
                scale = scale.half().float()  # as it is stored, and the zero point is its
                lowest = -(2 ** (bits - 1))
                zero = (lowest - groups.amin(-1).clamp(max=0) / scale).round().clamp(lowest, -lowest - 1)
                W_hat, _, fell_back = quantize_weight(
                    W[None].clone(),
                    given["H." + name][None].clone(),
                    scale[None],
                    zero[None],
                    None,
                    args,
                    percdamp=0.01,
                )
                assert not fell_back.any()
                made[f"{bits}/{order or 'left to right'}/{name}"] = W_hat[0].contiguous()
    save_file(made, f"{folder}/out.safetensors")
    versions = {name: version(name) for name in ("llmcompressor", "compressed-tensors", "transformers", "torch")}
    Path(folder, "versions.json").write_text(json.dumps(versions), encoding="utf-8")


if __name__ == "__main__":
    quantize(sys.argv[1])
