"""What a PEFT configuration may say before it asks for more than A, B, r and α.

Each field is harmless whatever it says, or harmless when it is off. A field that is not listed here, also one that a
later PEFT invents, must be off: we refuse what we do not know.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import first_line

_READ = {"peft_type", "r", "lora_alpha", "use_rslora", "base_model_name_or_path", "revision"}

# Which layers: the names in the weights file say it again.
_LAYERS = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}

# Mattered while training, or matters only when another field is on.
_TRAINING = {"task_type", "peft_version", "auto_mapping", "inference_mode", "lora_dropout", "megatron_core"}
_DETAILS = {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size"}

_HARMLESS = _READ | _LAYERS | _TRAINING | _DETAILS | {"init_lora_weights"}
_OFF: tuple[Any, ...] = (None, False, [], {})

# Ways to start A and B that leave W alone: once trained, such an adapter is like any other.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")

# Ways that took a part of W into A and B, and that PEFT can convert into a plain update of W.
_CONVERTIBLE = ("pissa", "olora", "corda", "lora_ga")


def read_config(file: Path) -> dict[str, Any]:
    """The settings in `file`, an adapter_config.json. Raises ValueError when it is damaged or asks for more than LoRA."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({first_line(error)}): copy it again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} is damaged (a {type(config).__name__} instead of settings by name): copy it again.")
    if config.get("peft_type") != "LORA":
        raise ValueError(
            f"{file.parent} holds a {config.get('peft_type')} adapter, and this loader knows LORA: load it with "
            "peft.PeftModel.from_pretrained."
        )
    if not isinstance(config.get("base_model_name_or_path") or "", str):
        raise ValueError(f"{file} is damaged (base_model_name_or_path is not a name): copy it again.")
    _check_start(file.parent, config.get("init_lora_weights"))
    odd = {name: value for name, value in config.items() if name not in _HARMLESS and value not in _OFF}
    if odd.get("bias") == "none":
        del odd["bias"]
    if odd:
        named = ", ".join(f"{name} = {value!r}" for name, value in odd.items())
        raise ValueError(
            f"{file.parent} needs what this small loader does not do ({named}): load it with "
            "peft.PeftModel.from_pretrained."
        )
    return config


def _check_start(folder: Path, start: Any) -> None:
    """Raise ValueError for a start that changed W, or may have: on the plain W, the result would be wrong."""
    start = start.lower() if isinstance(start, str) else start
    if start in _STARTS:
        return
    advice = "load it with peft.PeftModel.from_pretrained"
    if str(start).startswith(_CONVERTIBLE):
        advice += (
            ", or convert it where you trained it, with model.save_pretrained(folder, "
            "path_initial_model_for_weight_conversion=folder_saved_before_training)"
        )
    raise ValueError(
        f"{folder} was started with init_lora_weights = {start!r}, which changes the base's weights as well; this "
        f"small loader leaves them alone, and the answers would be wrong: {advice}."
    )
