"""Many adapters on one base at once: every row of a batch names its own, and W is multiplied once for all of them.

row i:  h = W·x + s[a]·B[a]·(A[a]·x),  a = the adapter that row i wants

Punica (Chen et al. 2023, section 4) and S-LoRA (Sheng et al. 2023, section 5) have the same idea. Their kernels read
each row's A and B where they lie; here they are copied for every row of a batch, which is simpler and takes memory. All
A's are stacked (n×r×k) and all B's (n×d×r), filled up with zeros to the largest rank: A·x gets zeros below, which the
zeros in B ignore. Each adapter keeps its own scale, α over its *own* rank, in each layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import cast

import torch
from torch import Tensor, nn

from . import lora
from .adapter import Adapter
from .targets import resolve_targets


class ManyLoRALinear(nn.Module):
    """A frozen Linear and n adapters beside it: lora_A (n×r×k), lora_B (n×d×r), r the largest rank in this layer,
    scaling (n)."""

    def __init__(self, base_layer: nn.Linear, name: str, adapters: Sequence[Adapter], dtype: torch.dtype) -> None:
        super().__init__()
        d, k = base_layer.out_features, base_layer.in_features
        n, r = len(adapters), max(len(adapter.A[name]) for adapter in adapters)
        device = base_layer.weight.device
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.zeros(n, r, k, dtype=dtype, device=device), requires_grad=False)
        self.lora_B = nn.Parameter(torch.zeros(n, d, r, dtype=dtype, device=device), requires_grad=False)
        for i, adapter in enumerate(adapters):
            own = len(adapter.A[name])
            self.lora_A[i, :own] = adapter.A[name]
            self.lora_B[i, :, :own] = adapter.B[name]
        self.scaling = torch.tensor([adapter.scaling(name) for adapter in adapters])
        self.names = [adapter.name for adapter in adapters]
        self.A: Tensor | None = None
        self.B: Tensor | None = None

    def gather(self, rows: Tensor, on: Tensor) -> None:
        """Copy what each row wants: A (rows×r×k) and B (rows×d×r), its scale in B, in fp32. Once for a batch.

        `rows` holds each row's adapter by number; where `on` is 0 instead of 1, the row goes without.
        """
        scaling = (self.scaling[rows] * on)[:, None, None].to(self.lora_B.device)
        self.A, self.B = self.lora_A[rows].float(), self.lora_B[rows].float() * scaling

    def forward(self, x: Tensor) -> Tensor:
        """x (rows×tokens×k) → rows×tokens×d: one product with W,
        and two batched ones in which a row meets its own A and B."""
        if self.A is None or self.B is None:
            raise ValueError(
                "no row has said which adapter it wants: run the model inside `with chosen(model, [name, …])`."
            )
        if len(x) != len(self.A):
            raise ValueError(
                f"the batch has {len(x)} rows, and adapters were chosen for {len(self.A)}: name one for every row, "
                "or None."
            )
        h = self.base_layer(x)
        update = x.to(self.A.dtype) @ self.A.mT @ self.B.mT
        return (h + update).to(h.dtype)


def attach(model: nn.Module, adapters: Sequence[Adapter], dtype: torch.dtype = torch.float16) -> list[str]:
    """Stack `adapters` beside the layers that they adapt, in place; return the layers' names.
    `chosen` puts them to use.

    They are kept in `dtype`: 2 bytes for each number of A and B, and as many for a smaller rank as for the largest.
    Raises ValueError for no adapters, two of one name, other targets, another base, or numbers beyond `dtype`;
    the model is then unchanged.
    """
    names = _check(model, adapters)
    largest = max(float(t.abs().max()) for one in adapters for part in (one.A, one.B) for t in part.values())
    if not largest <= torch.finfo(dtype).max:
        raise ValueError(f"the adapters' numbers go up to {largest:.3g}, beyond {dtype}: pass dtype=torch.float32.")
    for name in names:
        linear = cast(nn.Linear, model.get_submodule(name))
        model.set_submodule(name, ManyLoRALinear(linear, name, adapters, dtype))
    return names


def detach(model: nn.Module) -> None:
    """Take all of them off, in place: the base comes back exactly as it was."""
    for name, layer in many_layers(model).items():
        model.set_submodule(name, layer.base_layer)


def many_layers(model: nn.Module) -> dict[str, ManyLoRALinear]:
    """The layers of `model` with stacked adapters, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, ManyLoRALinear)}


@contextmanager
def chosen(model: nn.Module, wanted: Sequence[str | None]) -> Iterator[nn.Module]:
    """While the block runs, row i of every batch goes through the adapter wanted[i]; None is the base alone.

    Raises ValueError when the model has no stack, `wanted` is empty, or it names an adapter that is not in the stack.
    """
    layers = list(many_layers(model).values())
    if not layers:
        raise ValueError("this model has no adapters to choose from: attach(model, adapters) first.")
    if isinstance(wanted, str) or not wanted:
        raise ValueError(
            "name an adapter for each row of the batch, such as ['persona', None]; an empty batch has none."
        )
    names = layers[0].names
    if unknown := [name for name in wanted if name is not None and name not in names]:
        near = get_close_matches(str(unknown[0]), names, n=3) or names[:3]
        raise ValueError(
            f"no adapter {unknown[0]!r} is in the stack of {len(names)}, which holds {', '.join(near)}"
            f"{' and others' * (len(near) < len(names))}: name one of these."
        )
    rows = torch.tensor([0 if name is None else names.index(name) for name in wanted])
    on = torch.tensor([0.0 if name is None else 1.0 for name in wanted])
    try:
        for layer in layers:
            layer.gather(rows, on)
        yield model
    finally:
        for layer in layers:
            layer.A = layer.B = None


def _check(model: nn.Module, adapters: Sequence[Adapter]) -> list[str]:
    """The names of the layers that all `adapters` adapt. Raises ValueError where they cannot lie in one stack."""
    if not adapters:
        raise ValueError("no adapters to stack: give at least one, such as read_adapter(folder).")
    if many_layers(model) or any(True for _ in lora.lora_layers(model)):
        raise ValueError("this model already carries adapters: take them off with detach(model) first.")
    first, seen = adapters[0], set[str]()
    for adapter in adapters:
        if adapter.name in seen:
            raise ValueError(f"two adapters are called {adapter.name!r}, and rows choose by name: rename one of them.")
        seen.add(adapter.name)
        if other := sorted(adapter.A.keys() ^ first.A.keys()):
            raise ValueError(
                f"{adapter.name} and {first.name} do not adapt the same layers ({other[0]} is in one of them): train "
                "them on the same target_modules, or keep two stacks."
            )
    try:
        names = resolve_targets(model, sorted(first.A))
    except ValueError as error:
        raise ValueError(f"{first.name} was made for another base: {error}") from error
    for name in names:
        linear = cast(nn.Linear, model.get_submodule(name))
        d, k = linear.out_features, linear.in_features
        for adapter in adapters:
            r = len(adapter.A[name])
            if (adapter.A[name].shape, adapter.B[name].shape) != ((r, k), (d, r)):
                there = adapter.B[name].shape[0], adapter.A[name].shape[1]
                raise ValueError(
                    f"{adapter.name} was made for another base: {name} is {there} there, and {(d, k)} here."
                )
    return names
