"""A whole model rounded block by block: each reads what the blocks before it give after their rounding (GPTQ,
section 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from .gptq import Inputs, Rounded, awq, gptq, read, round_to_nearest
from .nf4 import linear_named

METHODS = ("rtn", "gptq", "awq")


@contextmanager
def _reading(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Inputs]]:
    """While the block runs, whatever the modules read is summed up in the dictionary that is yielded."""
    inputs: dict[str, Inputs] = {}

    def sum_up(name: str, X: Tensor) -> None:
        new = read(X.flatten(0, -2))
        if old := inputs.get(name):
            tokens = old.tokens + new.tokens
            mean_abs = (old.mean_abs * old.tokens + new.mean_abs * new.tokens) / tokens
            new = Inputs(old.H.add_(new.H), mean_abs, tokens)
        inputs[name] = new

    hooks = [m.register_forward_pre_hook(lambda _, args, n=name: sum_up(n, args[0])) for name, m in modules.items()]
    try:
        yield inputs
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def collect(model: nn.Module, names: Iterable[str], batches: Iterable[Tensor]) -> dict[str, Inputs]:
    """What each named Linear reads while the model runs over `batches` (token ids, b×length), by name.

    An H takes 4·k² bytes: 1.3 MB for k = 576, 9.4 MB for 1,536. Raises ValueError when there is no batch.
    """
    with _reading({name: linear_named(model, name) for name in names}) as inputs:
        for ids in batches:
            model(ids.to(next(model.parameters()).device))
    if not inputs:
        raise ValueError("no calibration text: give at least one batch of token ids.")
    return inputs


@torch.no_grad()
def quantize_model(
    model: nn.Module, names: Iterable[str], method: str = "gptq", batches: Sequence[Tensor] = (), **how: Any
) -> dict[str, Rounded]:
    """Replace each named Linear's weight by its rounded value, in place, and return the codes;
    `how` goes to the method.

    Block by block, as in GPTQ's section 4: a block's layers read what the blocks before it give *after* rounding, so
    they make up for some of that loss, and only one block's H are in memory. (Within a block all layers are measured
    at once.) The blocks must take the same arguments beside the hidden states, as in Llama, Mistral and Qwen2.
    `restored` brings the weights back. Raises ValueError for an unknown method, names that are not Linears of
    one list of blocks, or GPTQ and AWQ without batches.
    """
    if method not in METHODS:
        raise ValueError(f"no method is named {method!r}: choose from {', '.join(METHODS)}.")
    if method != "rtn" and not len(batches):
        raise ValueError(f"{method} needs calibration text: give batches of token ids.")
    linears = {name: linear_named(model, name) for name in names}
    lists = {(re.match(r"(.*?)\.\d+\.", name) or [name, name])[1] for name in linears}
    blocks = model.get_submodule(lists.pop()) if len(lists) == 1 else None
    if not isinstance(blocks, nn.ModuleList):
        raise ValueError("the names must lie in the blocks of one list, such as model.layers.0.self_attn.q_proj.")
    calls = _block_inputs(model, blocks[0], batches) if method != "rtn" else []
    rounded: dict[str, Rounded] = {}
    for block in blocks:
        mine = {name: linear for name, linear in linears.items() if any(linear is m for m in block.modules())}
        with _reading(mine) as seen:
            _run(block, calls if mine else [])
        for name, linear in mine.items():
            if method == "rtn":
                rounded[name] = round_to_nearest(linear.weight, **how)
            elif method == "gptq":
                rounded[name] = gptq(linear.weight, seen[name].H, **how)
            else:
                rounded[name] = awq(linear.weight, seen[name], **how)
            linear.weight.copy_(rounded[name].dequantize())
        calls = [((out, *args[1:]), kwargs) for out, (args, kwargs) in zip(_run(block, calls), calls, strict=True)]
    return rounded


@contextmanager
def restored(model: nn.Module, names: Iterable[str]) -> Iterator[None]:
    """When the block ends, also by Stop or an error, the named weights are what they were, bit for bit.
    Keeps a copy."""
    kept = {name: linear_named(model, name).weight.detach().clone() for name in names}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, W in kept.items():
                linear_named(model, name).weight.copy_(W)


class _Enough(Exception):
    """The first block has been reached: the rest of the model need not run."""


def _block_inputs(model: nn.Module, first: nn.Module, batches: Sequence[Tensor]) -> list[tuple[Any, Any]]:
    """The arguments with which the model calls its first block, for each batch."""
    calls: list[tuple[Any, Any]] = []

    def keep(_: nn.Module, args: Any, kwargs: Any) -> None:
        calls.append((args, kwargs))
        raise _Enough

    hook = first.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        for ids in batches:
            with suppress(_Enough):
                model(ids.to(next(model.parameters()).device), use_cache=False)
    finally:
        hook.remove()
    return calls


def _run(block: nn.Module, calls: Sequence[tuple[Any, Any]]) -> list[Tensor]:
    """The hidden states that the block gives for each call."""
    outs = [block(*args, **kwargs) for args, kwargs in calls]
    return [out[0] if isinstance(out, tuple) else out for out in outs]
