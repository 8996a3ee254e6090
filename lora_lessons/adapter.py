"""PEFT's adapter format: two files in a folder, saved from a model and put on one again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .files import whole_folder
from .lora import LoRALinear, attach, check_settings, detach, lora_layers, scale

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


_PEFT_PREFIX = "base_model.model."


def save_adapter(
    model: nn.Module,
    folder: Path | str,
    base_name: str = "",
    *,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
) -> Path:
    """Write the adapters to `folder` in PEFT's format: adapter_config.json and adapter_model.safetensors.

    With dtype=torch.bfloat16 the file is half as large, and A and B are rounded to 16 bits. Raises ValueError when the model has no adapters, FileExistsError when `folder` exists and overwrite is False.
    """
    folder, layers = Path(folder), dict(lora_layers(model))
    if not layers:
        raise ValueError("this model carries no adapters: attach(model) first.")
    if folder.exists() and not overwrite:
        raise FileExistsError(f"{folder} exists: choose another folder, or pass overwrite=True to replace it.")
    first = next(iter(layers.values()))
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base_name,
        "r": first.r, "lora_alpha": first.lora_alpha, "use_rslora": first.use_rslora, "target_modules": _shortest(model, layers),
        "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "lora_dropout": 0.0,
    }  # fmt: skip
    tensors = {}
    for name, layer in layers.items():
        tensors[f"{_PEFT_PREFIX}{name}.lora_A.weight"] = layer.lora_A.detach().to("cpu", dtype).contiguous()
        tensors[f"{_PEFT_PREFIX}{name}.lora_B.weight"] = layer.lora_B.detach().to("cpu", dtype).contiguous()
    with whole_folder(folder) as temporary:
        save_file(tensors, temporary / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        (temporary / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return folder


def _shortest(model: nn.Module, layers: dict[str, LoRALinear]) -> list[str]:
    """Leaf names such as q_proj where they mean exactly these layers, full names otherwise."""
    leaves = {name.rpartition(".")[2] for name in layers}
    meant = {
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in leaves and isinstance(module, (LoRALinear, nn.Linear))
    }
    return sorted(leaves if meant == set(layers) else layers)


# What a PEFT adapter may say that this layer does not do: field → its harmless values.
_NOT_HERE: dict[str, tuple[Any, ...]] = {
    "use_dora": (False, None), "lora_bias": (False, None), "bias": ("none", None), "fan_in_fan_out": (False, None),
    "modules_to_save": (None, []), "rank_pattern": ({}, None), "alpha_pattern": ({}, None),
}  # fmt: skip


class Adapter(NamedTuple):
    """An adapter away from its model: A (r×k) and B (d×r) of each adapted layer, by the layer's full name."""

    name: str
    r: int
    lora_alpha: float
    use_rslora: bool
    A: dict[str, Tensor]
    B: dict[str, Tensor]
    base_name: str = ""

    @property
    def scaling(self) -> float:
        """α/r, or α/√r with rsLoRA."""
        return scale(self.r, self.lora_alpha, self.use_rslora)


def read_adapter(folder: Path | str) -> Adapter:
    """The adapter in `folder`, ours or PEFT's, in fp32. No model is needed.

    Raises FileNotFoundError or ValueError with what to do when the folder holds no LoRA adapter, or one that says more
    than A, B, r and α (DoRA, modules_to_save, rank patterns, biases).
    """
    folder = Path(folder)
    if not (folder / ADAPTER_CONFIG).is_file():
        raise FileNotFoundError(
            f"no {ADAPTER_CONFIG} in {folder}: give the folder that save_adapter or PEFT's save_pretrained wrote."
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise FileNotFoundError(
            f"no {ADAPTER_WEIGHTS} in {folder}: only safetensors is loaded (a .bin is a pickle; save it again as safetensors)."
        )
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        kind, r, alpha = config.get("peft_type"), config.get("r"), config.get("lora_alpha")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{folder / ADAPTER_CONFIG} is damaged ({error}): copy it again.") from error
    if kind != "LORA":
        raise ValueError(f"{folder} holds a {kind} adapter; this loads LORA.")
    odd = [
        f"{name} = {config[name]!r}"
        for name, harmless in _NOT_HERE.items()
        if config.get(name, harmless[0]) not in harmless
    ]
    if odd:
        raise ValueError(
            f"this small loader does not know {', '.join(odd)}: load {folder} with peft.PeftModel.from_pretrained."
        )
    try:
        tensors = {
            name.removeprefix(_PEFT_PREFIX): t.float() for name, t in load_file(folder / ADAPTER_WEIGHTS).items()
        }
    except SafetensorError as error:
        raise ValueError(f"{folder / ADAPTER_WEIGHTS} is cut short or damaged ({error}): copy it again.") from error
    if strange := [name for name in tensors if ".lora_A." not in name and ".lora_B." not in name]:
        raise ValueError(
            f"{folder} also holds {', '.join(strange[:3])}, no A or B: load it with peft.PeftModel.from_pretrained."
        )
    A, B = (
        {n.removesuffix(f".{part}.weight"): t for n, t in tensors.items() if part in n} for part in ("lora_A", "lora_B")
    )
    if lone := sorted(A.keys() ^ B.keys()):
        raise ValueError(
            f"the adapter file lacks the A or the B of {lone[0]}: it was cut short or made for another model."
        )
    for name, (d, r_b), (r_a, k) in ((name, B[name].shape, A[name].shape) for name in A):
        check_settings(r, alpha, d, k)
        if not r_a == r_b == r:
            raise ValueError(f"{name}: A is {r_a}×{k} and B {d}×{r_b}, and the configuration says r = {r}: another r.")
    return Adapter(
        folder.name, r, alpha, bool(config.get("use_rslora")), A, B, config.get("base_model_name_or_path") or ""
    )


def load_adapter(model: nn.Module, folder: Path | str) -> list[str]:
    """Attach the adapter in `folder` (ours or PEFT's) to `model`, in place; return the adapted names.

    Raises FileNotFoundError or ValueError with what to do when the folder holds no LoRA adapter that fits this model.
    """
    return attach_adapter(model, read_adapter(folder))


@torch.no_grad()
def attach_adapter(model: nn.Module, adapter: Adapter) -> list[str]:
    """Attach `adapter` to `model`, in place; return the adapted names. Raises ValueError when it does not fit."""
    names = attach(model, adapter.r, adapter.lora_alpha, sorted(adapter.A), use_rslora=adapter.use_rslora)
    try:
        for name, layer in lora_layers(model):
            for part, here in ((adapter.A, layer.lora_A), (adapter.B, layer.lora_B)):
                if part[name].shape != here.shape:
                    raise ValueError(
                        f"{name}: {tuple(part[name].shape)} in the adapter and {tuple(here.shape)} here: another base model."
                    )
                here.copy_(part[name])
    except ValueError:
        detach(model)
        raise
    return names


def adapter_of(model: nn.Module, name: str = "") -> Adapter:
    """A copy of the adapter that `model` carries. Raises ValueError when it carries none."""
    layers = dict(lora_layers(model))
    if not layers:
        raise ValueError("this model carries no adapters: attach(model) first.")
    first = next(iter(layers.values()))
    A, B = (
        {n: getattr(layer, part).detach().cpu().clone() for n, layer in layers.items()} for part in ("lora_A", "lora_B")
    )
    return Adapter(name, first.r, first.lora_alpha, first.use_rslora, A, B)
