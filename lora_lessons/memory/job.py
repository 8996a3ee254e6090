"""What is trained, and which model: a job and a shape are all that a plan needs, and neither holds a weight."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from .. import models
from ..errors import ModelError
from ..models.configs import check_sizes, read_config
from ..paths import expanded
from ..training.settings import Settings
from .bill import FULL, FUSED, LOSSES

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYERS = ("ours", "peft")
RECIPES = ("course", "hf", "trl", "unsloth")
CHOICES = {
    "method": ("full", "lora", "qlora"),
    "dtype": tuple(DTYPES),
    "adapter_dtype": tuple(DTYPES),
    "layer": LAYERS,
    "recipe": RECIPES,
    "loss": LOSSES,
}
COUNTED = (
    "method",
    "r",
    "target_modules",
    "seq",
    "batch_size",
    "gradient_checkpointing",
    "fast",
    "autocast",
    "optimizer",
    "dtype",
    "adapter_dtype",
    "layer",
    "recipe",
    "loss",
)
LONGEST = 2**24  # tokens: no sequence is looked for beyond


@dataclass(frozen=True)
class Job(Settings):
    """What is trained, and how: the loop's settings, and the method, ranks and lengths that memory depends on.

    Raises ValueError for a setting that cannot be.
    """

    method: str = "qlora"  # full, lora, qlora; or "full bf16", "full fp32"
    r: int = 16
    target_modules: str | tuple[str, ...] = "all-linear"
    seq: int = 1024  # tokens in a sequence, none of them padding
    batch_size: int = field(default=1, kw_only=True)  # sequences
    gradient_checkpointing: bool = field(default=True, kw_only=True)
    dtype: str = "bf16"  # of the weights that are not packed, and of what is computed
    adapter_dtype: str = "fp32"
    layer: str = "ours"  # lora.attach, or "peft"
    # this course's loop; "hf", the usual Hugging Face one: PEFT's layers, Trainer with bf16=True; "trl", SFTTrainer
    # of TRL 1.16: the same without PEFT's preparation, a fused loss, and QLoRA's adapters in bf16; or "unsloth": as
    # that, with kernels that keep as little as Liger's and read in bf16,
    # and blocks' inputs that wait in the computer's memory
    recipe: str = "course"
    # of all logits at once; "shifted", as transformers before 4.49; "chunked", as torchtune; "fused", as TRL since 1.7;
    # or "liger", fused and with Liger's norms and MLPs
    loss: str = "whole"

    def __post_init__(self) -> None:
        if self.method in FULL:
            full, _, dtype = self.method.partition(" ")
            object.__setattr__(self, "method", full)
            object.__setattr__(self, "dtype", dtype)
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not known: choose one of {', '.join(known)}.")
        if self.recipe != "course":
            object.__setattr__(self, "layer", "peft")
            if self.optimizer == "adamw":  # Trainer's AdamW is the fused one
                object.__setattr__(self, "optimizer", "adamw_fused")
        if self.recipe in ("trl", "unsloth"):
            if self.recipe == "unsloth" or self.loss not in FUSED:
                object.__setattr__(self, "loss", "fused" if self.recipe == "trl" else "liger")
            if self.recipe == "unsloth" or self.method == "qlora":
                object.__setattr__(self, "adapter_dtype", "bf16")
        for name in ("r", "seq", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}: give a whole number of at least 1.")
        if self.seq > LONGEST or self.batch_size > 2**16:
            raise ValueError(
                f"{self.batch_size} sequences of {self.seq} tokens: no card holds that; give smaller numbers."
            )
        super().__post_init__()
        if not isinstance(self.target_modules, str):
            object.__setattr__(self, "target_modules", tuple(self.target_modules))
        if not self.target_modules:
            raise ValueError("target_modules is empty: name at least one, such as 'q_proj', or say 'all-linear'.")

    def counted(self) -> dict[str, Any]:
        """The settings that the ledger depends on, by name."""
        return {name: getattr(self, name) for name in COUNTED}


class Shape(NamedTuple):
    """A model's configuration, without weights: what it is called, its config as JSON, and what packed its weights,
    if anything."""

    name: str
    text: str
    packed: str = ""

    def config(self, whole: bool = False) -> Any:
        """The transformers config; of a model that also sees or hears, its language half, or the `whole`.

        Raises ModelError where transformers cannot make one.
        """
        from transformers import AutoConfig, PreTrainedConfig

        settings = json.loads(self.text, object_hook=_number)
        kind = settings.pop("model_type")
        try:
            config = AutoConfig.for_model(kind, **settings)
            config = config if whole else config.get_text_config()
            if not isinstance(config, PreTrainedConfig):
                raise ValueError("its text_config holds no settings by name")
            return config
        except Exception as error:
            raise ModelError(
                f"{self.name}: transformers cannot read this {kind} config ({why(error)}): fetch it again."
            ) from error


def _number(value: dict[str, Any]) -> Any:
    """An infinite number, which transformers writes as {"__float__": "Infinity"}; anything else as it is."""
    return float(value["__float__"]) if value.keys() == {"__float__"} else value


def why(error: BaseException) -> str:
    """The first line of an error's words, short enough for a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    first = next((line.strip() for line in lines if not line.rstrip().endswith(":")), lines[0])
    first = re.sub(r"^\w+(?:Error|Exception): ", "", re.sub(r"<class '([\w.]+)'>", r"\1", first))
    return first if len(first) <= 160 else f"{first[:160]}…"


def shape_of(model: Any) -> Shape:
    """The shape of a name that is known, "embedded", a folder with config.json, a .gguf file, a hub id,
    or a transformers config.

    Nothing is fetched for what `models.known` knows. Raises ModelError in one sentence when there is no such model,
    or none that can be read.
    """
    if isinstance(model, Shape):
        return model
    if not isinstance(model, str | os.PathLike):
        return _shape(model.model_type, model.to_dict())
    base = models.named(name := str(model))
    name = base.name if base else name
    if name in models.KNOWN:
        return _shape(name, models.KNOWN[name])
    one = models.known(name)
    try:
        meant = models.which(name, weights=False)
    except ModelError as error:
        if expanded(name).exists():
            raise
        if not one:
            raise ModelError(_unknown(name)) from error
        return _shape(one, models.KNOWN[one])
    if meant.kind == "hub":
        return _shape(one or name, models.KNOWN[one] if one else models.fetch_config(name))
    if meant.kind == "embedded":
        return _shape(meant.name, read_config(models.embedded_folder()))
    place = expanded(name)
    return _shape(name, models.config_in_gguf(place) if meant.kind == "gguf" else read_config(place))


def _unknown(name: str) -> str:
    reason, told = models.others_say(name)
    if reason:
        return (
            f"{name!r} cannot be planned by its name: {reason}. What is known: {told} Otherwise give its config.json."
        )
    near = " or ".join(models.nearest(name))
    meant = (
        f"did you mean {near}? Otherwise give" if near else "give a name such as Llama-3.1-8B or Qwen3-8B, 'embedded',"
    )
    return (
        f"I don't know a model called {name!r}: {meant} a folder with config.json, a .gguf file, "
        "or a hub id such as 'owner/name'."
    )


# What a config says beside the model's sizes.
ASIDE = ("quantization_config", "dtype", "torch_dtype", "architectures", "_name_or_path", "transformers_version")


def _shape(name: str, settings: Mapping[str, Any]) -> Shape:
    check_sizes(settings, name)
    sizes = {key: value for key, value in settings.items() if key not in ASIDE}
    return Shape(
        name, json.dumps(sizes, sort_keys=True, default=str), _packed(name, settings.get("quantization_config"))
    )


# What a checkpoint may be packed by and planned all the same: bitsandbytes' 4 bits are QLoRA's,
# and gpt-oss is unpacked to train.
IN_FOUR_BITS, UNPACKED = "bitsandbytes, 4 bits", "mxfp4"


def _packed(name: str, quantization: Any) -> str:
    quantization = quantization.to_dict() if hasattr(quantization, "to_dict") else quantization
    if quantization is None:
        return ""
    if not isinstance(quantization, Mapping):
        raise ModelError(
            f"{name} says quantization_config = {str(quantization)[:40]}, and no settings by name: fetch it again."
        )
    if quantization.get("load_in_4bit") or quantization.get("_load_in_4bit"):
        return IN_FOUR_BITS
    return str(quantization.get("quant_method") or "unknown")[:40]


def check_packed(shape: Shape, job: Job) -> None:
    """Raise ModelError where `job` cannot train on the weights of `shape` as they are packed."""
    if shape.packed in ("", UNPACKED) or (shape.packed == IN_FOUR_BITS and job.method == "qlora"):
        return
    counted = "a plan counts a base in 16 bits, or in the NF4 that QLoRA rounds it to itself"
    qlora = "plan it with the method qlora, or " if shape.packed == IN_FOUR_BITS else ""
    raise ModelError(
        f"{shape.name} is quantized already ({shape.packed}), and {counted}: "
        f"{qlora}name the 16-bit model that it was made from."
    )
