"""What a PEFT configuration may say before it asks for more than A, B, r and α.

Each field is harmless whatever it says, or harmless when it is off. A field that is not listed here, also one that a
later PEFT invents, must be off: we refuse what we do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import first_line
from .outside import in_line

# What PEFT takes where the file says nothing: LoraConfig's defaults.
DEFAULT_R, DEFAULT_ALPHA = 8, 8

_PATTERNS = {"rank_pattern", "alpha_pattern"}
_READ = {"peft_type", "r", "lora_alpha", "use_rslora", "base_model_name_or_path", "revision"} | _PATTERNS

# Which layers: the names in the weights file say it again.
_LAYERS = {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}

# Mattered while training, or matters only when another field is on.
_TRAINING = {"task_type", "peft_version", "auto_mapping", "inference_mode", "lora_dropout", "megatron_core"}
_DETAILS = {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "qalora_group_size"}

# PEFT's TaskType: it stops at any other.
TASK_TYPES = ("CAUSAL_LM", "SEQ_CLS", "SEQ_2_SEQ_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION")

_HARMLESS = _READ | _LAYERS | _TRAINING | _DETAILS | {"init_lora_weights"}
# What asks for more than A, B, r and α. With those above it is all that PEFT 0.21 knows: it warns of any other,
# and leaves it out.
_MORE = {"alora_invocation_tokens", "arrow_config", "bias", "ensure_weight_tying", "fan_in_fan_out", "kasa_config"}
_MORE |= {"layer_replication", "lora_bias", "megatron_config", "modules_to_save", "monteclora_config", "runtime_config"}
_MORE |= {"target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "velora_config"}
KNOWN = _HARMLESS | _MORE
_OFF: tuple[Any, ...] = (None, False, [], {})

# Ways to start A and B that leave W alone: once trained, such an adapter is like any other.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")

# Ways that took a part of W into A and B, and that PEFT can convert into a plain update of W.
_CONVERTIBLE = ("pissa", "olora", "corda", "lora_ga")

# A pattern that repeats a group, or repeats anything more often than this, can be searched for years:
# (a+)+ or .*.*.*.*.*.*.*
_REPEATED_GROUP, _REPEATS = re.compile(r"\)[*+{]"), re.compile(r"[*+{]|(?<![*+}(])\?")
MOST_REPEATS, LONGEST_PATTERN = 6, 300


def read_config(file: Path) -> dict[str, Any]:
    """The settings in `file`, an adapter_config.json.
    Raises ValueError when it is damaged or asks for more than LoRA."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({first_line(error)}): copy it again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} is damaged (a {type(config).__name__} instead of settings by name): copy it again.")
    if fault := type_fault(config):
        raise ValueError(f"{file}: {fault}")
    if config.get("peft_type") != "LORA":
        raise ValueError(
            f"{file.parent} holds a {config.get('peft_type')} adapter, and this loader knows LORA: load it with "
            "peft.PeftModel.from_pretrained."
        )
    if not isinstance(config.get("base_model_name_or_path") or "", str):
        raise ValueError(f"{file} is damaged (base_model_name_or_path is not a name): copy it again.")
    for name in sorted(_PATTERNS):
        _check_patterns(file, name, config.get(name) or {})
    _check_start(file.parent, config.get("init_lora_weights"))
    odd = {name: value for name, value in config.items() if name not in _HARMLESS and value not in _OFF}
    if odd.get("bias") == "none":
        del odd["bias"]
    if odd:
        named = ", ".join(in_line(f"{name[:40]} = {repr(value)[:40]}") for name, value in islice(odd.items(), 3))
        named += f" and {len(odd) - 3} more" * (len(odd) > 3)
        raise ValueError(
            f"{file.parent} needs what this small loader does not do ({named}): load it with "
            "peft.PeftModel.from_pretrained, and for another program merge it there (merge_and_unload, "
            "save_pretrained)."
        )
    return config


def type_fault(config: dict[str, Any]) -> str:
    """Why PEFT stops at the letters of the adapter's peft_type or task_type, in a sentence; "" where it does not."""
    kind, task = config.get("peft_type"), config.get("task_type")
    if isinstance(kind, str) and kind != kind.upper():
        return f"PEFT does not know the peft_type {kind[:40]!r}: write {kind[:40].upper()}."
    if isinstance(task, str) and task not in TASK_TYPES and task.upper() in TASK_TYPES:
        return f"PEFT does not know the task_type {task!r}: write {task.upper()}."
    return ""


def by_layer(patterns: dict[str, Any], layers: Iterable[str], otherwise: Any) -> dict[str, Any]:
    """What rank_pattern or alpha_pattern says of each of `layers`, and `otherwise` where it says nothing.

    By PEFT's rule (peft.utils.other.get_pattern_key): the first pattern that means the whole name,
    or its end behind a dot.
    """
    compiled = [(re.compile(rf"(.*\.)?({pattern})$"), value) for pattern, value in patterns.items()]

    def value_of(layer: str) -> Any:
        return next((value for one, value in compiled if one.match(layer)), patterns.get(layer, otherwise))

    return {layer: value_of(layer) for layer in layers}


def pattern_of(layer: str) -> str:
    """The pattern that means the layer of this full name, and no other."""
    return f"^{re.escape(layer)}"


def pattern_fault(pattern: str) -> str:
    """Why `pattern` is not searched for, in a few words; "" where it is."""
    if len(pattern) > LONGEST_PATTERN or may_never_end(pattern):
        return f"the search for {pattern[:40]!r} may never end"
    try:
        re.compile(rf"(?:.*\.)?(?:{pattern})$")  # no group of ours: what \1 means is the pattern's own
    except (re.error, RecursionError, OverflowError):
        return f"{pattern[:40]!r} is not a pattern"
    return ""


def may_never_end(pattern: str) -> bool:
    """Whether searching a name for `pattern` may take years."""
    return bool(_REPEATED_GROUP.search(pattern)) or len(_REPEATS.findall(pattern)) > MOST_REPEATS


def _check_patterns(file: Path, name: str, patterns: Any) -> None:
    """Raise ValueError unless `patterns` are values by pattern."""
    if not isinstance(patterns, dict):
        raise ValueError(f"{file} is damaged ({name} is not a table of values by pattern): copy it again.")
    if fault := next(filter(None, map(pattern_fault, patterns)), ""):
        raise ValueError(f"{file} is damaged ({name}: {fault}): copy it again, or save the adapter again.")


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
        f"{folder} was started with init_lora_weights = {str(start)[:40]!r}, which changes the base's weights as well; "
        f"this small loader leaves them alone, and the answers would be wrong: {advice}."
    )
