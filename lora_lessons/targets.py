"""Which layers LoRA adapts: every Linear but the output head, or those that the user names.

The paper adapts the attention's W_q and W_v (section 5.1); QLoRA found that every Linear is needed (section 4).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, cast

from torch import nn
from torch.nn.modules.conv import _ConvNd


def resolve_targets(model: nn.Module, target_modules: str | Iterable[str]) -> list[str]:
    """The full names of the Linears that `target_modules` means; every entry must match at least one.

    Raises ValueError for an entry that matches nothing (naming the nearest names) or something that is no Linear.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    linears = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    if target_modules == "all-linear":
        head = _head(model)
        in_head = {id(module) for module in head.modules()} if head is not None else set()
        adapted = [name for name in linears if id(modules[name]) not in in_head]
        if not adapted:
            raise ValueError("all-linear found no Linear layer in this model: name the layers to adapt.")
        return adapted
    adapted = []
    for entry in _entries(target_modules):
        hits = [name for name in modules if is_end(entry, name)]
        if not hits:
            raise ValueError(f"target_modules: no module is named {entry!r}. {_nearest(entry, linears)}")
        wrong = [name for name in hits if name not in linears]
        if wrong:
            kind = type(modules[wrong[0]]).__name__
            raise ValueError(
                f"target_modules: {entry!r} is a {kind} ({wrong[0]}), and LoRA here wraps Linear layers. "
                f"{_nearest(entry, linears)}"
            )
        adapted += [name for name in hits if name not in adapted]
    return [name for name in linears if name in adapted]


def is_end(entry: str, name: str) -> bool:
    """Whether `entry` is the module's whole `name`, or its end behind a dot: what target_modules means by a name."""
    return name == entry or name.endswith(f".{entry}")


def left_out(model: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """The weights that adapters on the layers `names` cannot reach, name → numbers in it.

    A mixture of experts keeps each kind of expert's weight as one stack of matrices (experts×d×k), which is no Linear.
    Convolutions, biases and norms do not count: no LoRA adapts them.
    """
    reached = tuple(f"{name}." for name in names)
    weights = (
        (f"{owner}.{name}".lstrip("."), parameter.numel())
        for owner, module in model.named_modules()
        for name, parameter in stacked(module)
    )
    return {name: numbers for name, numbers in weights if not name.startswith(reached)}


def stacked(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The module's own weights that are stacks of matrices, as a mixture keeps its experts; a convolution has none."""
    if isinstance(module, _ConvNd):
        return []
    return [(n, p) for n, p in module.named_parameters(recurse=False) if p.dim() >= 3 and p.shape[0] > 1]


def _head(model: nn.Module) -> nn.Module | None:
    """The layer that turns hidden states into answers, over the vocabulary or a classifier's: it is not adapted."""
    get_output_embeddings = getattr(model, "get_output_embeddings", None)
    if get_output_embeddings is None:
        return None
    named = (getattr(model, name, None) for name in ("score", "classifier", "qa_outputs"))
    return next((head for head in (get_output_embeddings(), *named) if isinstance(head, nn.Module)), None)


def _entries(target_modules: object) -> list[str]:
    one = isinstance(target_modules, str) or not isinstance(target_modules, Iterable)
    entries: list[Any] = [target_modules] if one else list(cast(Iterable, target_modules))
    if strange := [entry for entry in entries if not isinstance(entry, str)]:
        raise ValueError(
            f"target_modules: {strange[0]!r} is not the name of a layer: give names such as ['q_proj', 'v_proj'], "
            "or 'all-linear'."
        )
    if not entries:
        raise ValueError("target_modules is empty: name at least one, such as 'q_proj', or say 'all-linear'.")
    return entries


def _nearest(entry: str, linears: list[str]) -> str:
    leaves = list(dict.fromkeys(name.rpartition(".")[2] for name in linears))
    close = difflib.get_close_matches(entry.rpartition(".")[2], leaves, n=3, cutoff=0.5)
    return (
        f"Did you mean {' or '.join(map(repr, close))}?"
        if close
        else f"Write names of this model: {', '.join(leaves)}."
    )
