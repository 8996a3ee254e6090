"""What a plan must know of a model before it runs any of it: its blocks, windows, linear layers and experts."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from .. import lora
from ..disk_cache import once
from ..errors import ModelError
from ..models import others_say
from . import tape
from .build import attach_by_peft, skeleton, windows
from .job import Shape

# Layers that carry a state from token to token, or work through the text in pieces, by parts of their classes' names.
RECURRENT = ("Mamba", "SSM", "Recurrent", "Rwkv", "LSTM", "DeltaNet", "DeltaAttention", "Lightning", "LinearAttention")


class Parts(NamedTuple):
    """A model's parts, counted on the meta device."""

    blocks: int
    before: int  # blocks before the pattern of the others begins, such as a mixture's first, dense ones
    period: int  # blocks after which their kinds repeat: 1 where all are alike
    made_for: int | None  # tokens that the model was made for
    windows: tuple[int, ...]  # tokens of its sliding windows and attention chunks, ascending
    numbers: tuple[int, ...]  # every whole number in its config
    targets: tuple[
        tuple[str, int, int], ...
    ]  # name, d and k of the first weight of each size that an adapter stands beside
    parameters: int  # its numbers, those that two weights share counted once
    beside: int  # numbers of A and B at rank 1
    experts: int  # numbers in the experts of its mixtures
    left_out: tuple[tuple[str, int], ...]  # weights of experts that no adapter reaches, and their numbers
    half_of: str | None  # the model type of which this is the language half
    by_peft: int = 0  # numbers of A and B at rank 1 where PEFT adapts other weights than the Linears above; 0 elsewhere
    peft_adds: tuple[str, ...] = ()  # what those are in a block, such as mlp.experts
    peft_skips: int = 0  # of the Linears above, those that PEFT then leaves out


@cache
def parts_of(shape: Shape, target_modules: str | tuple[str, ...]) -> Parts:
    """The parts of `shape`, and the weights that adapters on `target_modules` stand beside.

    Raises ModelError for a model that the ledger cannot read, ValueError for a target that the model does not have.
    """
    plain_parts = once(
        "parts", [shape.text, target_modules], Parts._fields, lambda: _look(shape, target_modules)._asdict()
    )
    return Parts(**{name: _tuples(value) for name, value in plain_parts.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def _look(shape: Shape, target_modules: str | tuple[str, ...]) -> Parts:
    model = skeleton(shape, torch.bfloat16)
    config = model.config
    blocks = _blocks(shape, model)
    kinds = list(_kinds(config, blocks))
    before, period = pattern(kinds)
    few = skeleton(shape, torch.bfloat16, blocks=min(len(kinds), before + 2 * period + 2))
    if (fewer := list(_kinds(few.config, tape.blocks(few)))) != kinds[: len(fewer)]:
        before = len(kinds)  # the first few are not built as they are in the whole: every block counts
    mixtures = [module for module in model.modules() if tape.experts(module)]
    try:
        names = lora.resolve_targets(model, target_modules) if target_modules else []
    except ValueError as error:
        stacked = " Its experts are stacked and no Linear layers: a plan with all-linear says who adapts them."
        raise ValueError(f"{error}{stacked if mixtures else ''}") from error
    weights = {name: model.get_parameter(f"{name}.weight") for name in names}
    sizes = {(w.shape[0], w.shape[1]): name for name, w in reversed(weights.items())}
    kind = json.loads(shape.text)["model_type"]
    found = Parts(
        blocks=len(blocks),
        before=before,
        period=period,
        made_for=getattr(config, "max_position_embeddings", None),
        windows=tuple(sorted({size for _, size in windows(config)})),
        numbers=tuple(sorted({n for n in _numbers(config.to_dict()) if n > 1})),
        targets=tuple((name, d, k) for (d, k), name in sizes.items()),
        parameters=sum(p.numel() for p in model.parameters()),
        beside=sum(sum(weight.shape) for weight in weights.values()),
        experts=sum(p.numel() for module in mixtures for p in module.parameters(recurse=False)),
        left_out=tuple(lora.left_out(model, names).items()),
        half_of=kind if kind != config.model_type else None,
    )
    return found._replace(**_by_peft(model, target_modules, set(names))) if mixtures and names else found


def _by_peft(model: Any, target_modules: str | tuple[str, ...], names: set[str]) -> dict[str, Any]:
    """What PEFT adapts of a mixture where that is not the layers `names`, as fields of Parts;
    it attaches to `model`."""
    try:
        attach_by_peft(model, 1, target_modules)
    except ValueError:
        return {}  # it takes gate_proj and up_proj together or not at all: whoever plans its recipe is told
    ours = {name: p.numel() for name, p in model.named_parameters() if "lora_" in name}
    adapted = {name.partition(".lora_")[0].removesuffix(".base_layer") for name in ours}
    if adapted == names:
        return {}
    adds = {re.sub(r".*?\.\d+\.", "", name, count=1) for name in adapted - names}
    return {"by_peft": sum(ours.values()), "peft_adds": tuple(sorted(adds)), "peft_skips": len(names - adapted)}


def _blocks(shape: Shape, model: Any) -> nn.ModuleList:
    """The decoder blocks of `model`. Raises ModelError when there are none, or when they carry a state."""
    try:
        blocks = tape.blocks(model)
    except ValueError as error:
        raise ModelError(
            f"{shape.name}: this {model.config.model_type} has no list of num_hidden_layers decoder blocks, so that "
            "its ledger cannot be read; decoder-only models such as Llama, Mistral, Qwen and Gemma can."
        ) from error
    for module in blocks.modules():
        kind = type(module).__name__
        if any(part in kind for part in RECURRENT) or isinstance(module, nn.Conv1d):
            raise ModelError(
                f"{shape.name}: this {model.config.model_type} carries a state from token to token ({kind}), and the "
                "ledger counts attention alone; models such as Llama, Mistral, Qwen3 and Gemma can be planned. "
                f"{others_say(f'{shape.name} {model.config.model_type}')[1]}".rstrip()
            )
    return blocks


def _kinds(config: Any, blocks: nn.ModuleList) -> Iterator[Hashable]:
    """What makes one block like another: its layer type, and its parameters with their sizes."""
    types = getattr(config, "layer_types", None) or [None] * len(blocks)
    for block, kind in zip(blocks, types, strict=True):
        yield kind, type(block), tuple((name, tuple(p.shape)) for name, p in block.named_parameters())


def pattern(kinds: Sequence[Hashable]) -> tuple[int, int]:
    """How many blocks come before their kinds repeat, and after how many they do: the least of both together.

    (0, 1) where all are alike, (0, 6) in Gemma 3 (five sliding, one full), (3, 1) in DeepSeek-V3 (three dense,
    then mixtures).
    """
    every, numbers = len(kinds), {kind: n for n, kind in enumerate(kinds)}
    told = [numbers[kind] for kind in kinds]
    splits = ((before, together - before) for together in range(1, every + 1) for before in range(together))
    return next(
        (before, period) for before, period in splits if told[before + period :] == told[before : every - period]
    )


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
