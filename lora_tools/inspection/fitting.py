"""Which of a base's models an adapter was made for, and what that model calls the adapter's modules.

A base may be a language model, the larger model around it, or the model without its head; and transformers has renamed
the parts of some since adapters of them were saved. PEFT follows it when it loads an adapter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from lora_lessons import memory
from lora_lessons.errors import ModelError
from lora_lessons.memory.build import skeleton

from .reading import PREFIX

# What builds a base's language model, that model without its head, and the larger model that it is one part of.
CAUSAL, HEADLESS, AROUND = "AutoModelForCausalLM", "AutoModel", "AutoModelForImageTextToText"

Naming = Callable[[str], str]


class Fitting(NamedTuple):
    """A model without weights, None where transformers builds none of the base; what builds it;
    its name of each module."""

    net: nn.Module | None
    # "" where there is no other model that an adapter could be of
    built_by: str
    own_name: Naming


def fitting(shape: memory.Shape, modules: Sequence[str], task_type: str = "", named: str = "") -> Fitting:
    """Of the models of `shape`, without weights, that which has most of an adapter's `modules`.

    `task_type` as the adapter names it, `named` the class that the base's config names.
    """
    part, around = _part(shape), _around(shape)
    models = [(part, _built_by(shape, part)), (around, AROUND)]
    if named not in {type(net).__name__ for net, _ in models}:
        models.append((_own(shape, named), ""))
    # of several that fit alike the first
    ways = [
        Fitting(net, named, way)
        for net, built_by in models
        if net is not None
        for named, way in _ways(net, built_by, modules)
        if named != HEADLESS or task_type in ("", "FEATURE_EXTRACTION")
    ]
    return max(ways, key=lambda one: _found(one, modules), default=Fitting(None, "", str))


def _found(one: Fitting, modules: Sequence[str]) -> int:
    names = dict(one.net.named_modules()) if one.net is not None else {}
    return sum(one.own_name(module) in names for module in modules)


def _ways(net: nn.Module, built_by: str, modules: Sequence[str]) -> Iterator[tuple[str, Naming]]:
    """How an adapter may call the modules of `net`: as it does, as it once did, and as that without a head does."""
    yield built_by, str
    yield built_by, _renamed(net, modules)
    prefix = getattr(net, "base_model_prefix", "")
    if prefix and isinstance(getattr(net, prefix, None), nn.Module):
        yield HEADLESS, lambda module: f"{prefix}.{module}"


def _renamed(net: nn.Module, modules: Sequence[str]) -> Naming:
    """As PEFT renames what it loads: by transformers' table for older checkpoints,
    where it applies that to adapters."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_adapter_state_dict_for_transformers as convert

    # experts are not renamed but put into stacks
    known = [module for module in modules if ".experts." not in module]
    keys = {f"{PREFIX}{module}.lora_A.weight": torch.tensor(number) for number, module in enumerate(known)}
    try:
        converted = convert(net, LoraConfig(), keys)
    except Exception:  # whatever PEFT says of keys that it cannot convert
        converted = {}
    table = {known[int(number)]: key for key, number in converted.items() if number.numel() == 1}
    return lambda module: re.sub(rf"^{re.escape(PREFIX)}|\.lora_A\..*$", "", table.get(module, module))


def _part(shape: memory.Shape) -> nn.Module | None:
    """The language model of `shape`; None where transformers builds none."""
    try:
        return skeleton(shape, torch.bfloat16)
    except ModelError:
        return None


def _around(shape: memory.Shape) -> nn.Module | None:
    """The larger model that the language model of `shape` is one part of; None where there is none."""
    from transformers import AutoModelForImageTextToText

    if "text_config" not in json.loads(shape.text):
        return None
    try:
        with torch.device("meta"):
            return AutoModelForImageTextToText.from_config(shape.config(whole=True), trust_remote_code=False)
    except Exception:  # whatever transformers says of a config that it has no such model for
        return None


def _own(shape: memory.Shape, named: str) -> nn.Module | None:
    """The model of the class `named`, which may have an encoder before its language model;
    None where transformers has none."""
    import transformers

    kind = getattr(transformers, named, None) if named else None
    if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedModel):
        return None
    try:
        with torch.device("meta"):
            return kind(shape.config(whole=True))
    except Exception:  # whatever transformers says of a config that it has no such model for
        return None


def _built_by(shape: memory.Shape, part: nn.Module | None) -> str:
    """What builds the language model, `part`, of a base that has a larger model, too; "" where it has none."""
    from transformers import AutoModelForCausalLM

    if "text_config" not in json.loads(shape.text):
        return ""
    kind, built = type(shape.config(whole=True)), AutoModelForCausalLM._model_mapping
    return CAUSAL if kind in built and type(part) is built[kind] else type(part).__name__
