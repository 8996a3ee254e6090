"""LoRA (Hu et al. 2021, section 4): leave W alone, learn a small B·A beside it.

x ─┬─ W (d×k, frozen) ─────────────────────┐
   └─ A (r×k) ── B (d×r, zero) ── × α/r ── + ── h
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """A frozen Linear with a trainable update: h = W·x + (α/r)·B·(A·x).

    lora_A is r×k (Kaiming-uniform), lora_B is d×r (zero), both in fp32; so ΔW = (α/r)·B·A starts at 0.
    With use_rslora the factor is α/√r (Kalajdzievski 2023). Raises ValueError when r or lora_alpha is impossible.
    """

    def __init__(self, base_layer: nn.Linear, r: int, lora_alpha: float, use_rslora: bool = False) -> None:
        super().__init__()
        d, k = base_layer.out_features, base_layer.in_features
        check_settings(r, lora_alpha, d, k)
        self.base_layer = base_layer.requires_grad_(False)
        device = base_layer.weight.device
        self.lora_A = nn.Parameter(torch.empty(r, k, device=device))
        self.lora_B = nn.Parameter(torch.zeros(d, r, device=device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.r, self.lora_alpha, self.use_rslora = r, lora_alpha, use_rslora
        self.scaling = scale(r, lora_alpha, use_rslora)

    def forward(self, x: Tensor) -> Tensor:
        h = self.base_layer(x)
        update = x.to(self.lora_A.dtype) @ self.lora_A.T @ self.lora_B.T * self.scaling
        return (h + update).to(h.dtype)

    def delta(self) -> Tensor:
        """ΔW = (α/r)·B·A, d×k: what the adapter adds to W."""
        return self.scaling * (self.lora_B @ self.lora_A)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The base layer with ΔW folded into its weight (in place): one Linear, no extra work per token.

        Raises ValueError when the weight is packed in 4 bits.
        """
        weight = self.base_layer.weight
        check_mergeable(self.base_layer)
        weight.copy_(weight.to(self.lora_A.dtype) + self.delta())
        return self.base_layer


def scale(r: int, lora_alpha: float, use_rslora: bool = False) -> float:
    """The factor before B·A: α/r (section 4.1), or α/√r with rsLoRA (Kalajdzievski 2023)."""
    return lora_alpha / (math.sqrt(r) if use_rslora else r)


def check_settings(r: int, lora_alpha: float, d: int, k: int) -> None:
    """Raise ValueError with what to change when r or lora_alpha cannot work for a d×k weight."""
    if isinstance(r, bool) or not isinstance(r, int):
        raise ValueError(f"r is a count of directions, a whole number such as 8; got {r!r}.")
    if not 1 <= r <= min(d, k):
        raise ValueError(
            f"r = {r} does not fit a {d}×{k} weight: choose 1 ≤ r ≤ {min(d, k)} (8 or 16 is a usual start)."
        )
    if isinstance(lora_alpha, bool) or not isinstance(lora_alpha, (int, float)) or not 0 < lora_alpha < math.inf:
        raise ValueError(
            f"lora_alpha = {lora_alpha!r} must be a number above 0: the update is scaled by α/r (try alpha = 2r)."
        )


def check_mergeable(base_layer: nn.Linear) -> None:
    """Raise ValueError unless ΔW can be added to this layer's weight number by number."""
    if not base_layer.weight.is_floating_point():
        raise ValueError(
            "this base is packed in 4 bits, where ΔW cannot be added: keep the adapter apart, or save it (save_adapter), "
            "load the base in 16 bits, load_adapter there, and merge that."
        )


def attach(
    model: nn.Module,
    r: int = 8,
    lora_alpha: float = 16,
    target_modules: str | Iterable[str] = "all-linear",
    *,
    use_rslora: bool = False,
    seed: int = 0,
) -> list[str]:
    """Freeze `model` and put a LoRALinear around each targeted Linear, in place; return their names.

    `target_modules` is "all-linear" (every Linear but the output head) or names such as ["q_proj", "v_proj"].
    Raises ValueError when r, lora_alpha or a target cannot work; the model is then unchanged.
    """
    if any(True for _ in lora_layers(model)):
        raise ValueError(
            "this model already carries adapters: take them off with detach(model), or load the base again."
        )
    names = resolve_targets(model, target_modules)
    linears = {name: cast(nn.Linear, model.get_submodule(name)) for name in names}
    embeddings = getattr(model, "get_input_embeddings", lambda: None)()
    for name, linear in linears.items():
        if embeddings is not None and linear.weight is embeddings.weight:
            raise ValueError(
                f"{name} shares its weight with the input embeddings: merging would change both. Leave it out."
            )
        check_settings(r, lora_alpha, linear.out_features, linear.in_features)
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, linear in linears.items():
            _replace(model, name, LoRALinear(linear, r, lora_alpha, use_rslora))
    return names


def resolve_targets(model: nn.Module, target_modules: str | Iterable[str]) -> list[str]:
    """The full names of the Linears that `target_modules` means; every entry must match at least one.

    Raises ValueError for an entry that matches nothing (naming the nearest names) or something that is no Linear.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    linears = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    if target_modules == "all-linear":
        head = getattr(model, "get_output_embeddings", lambda: None)()
        found = [name for name in linears if modules[name] is not head]
        if not found:
            raise ValueError("all-linear found no Linear layer in this model: name the layers to adapt.")
        return found
    entries = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    if not entries:
        raise ValueError("target_modules is empty: name at least one, such as 'q_proj', or say 'all-linear'.")
    found = []
    for entry in entries:
        hits = [name for name in modules if name == entry or name.endswith("." + entry)]
        if not hits:
            raise ValueError(f"target_modules: no module is named {entry!r}. {_nearest(entry, linears)}")
        wrong = [name for name in hits if name not in linears]
        if wrong:
            kind = type(modules[wrong[0]]).__name__
            raise ValueError(
                f"target_modules: {entry!r} is a {kind} ({wrong[0]}), and LoRA here wraps Linear layers. {_nearest(entry, linears)}"
            )
        found += [name for name in hits if name not in found]
    return [name for name in linears if name in found]


def _nearest(entry: str, linears: list[str]) -> str:
    leaves = list(dict.fromkeys(name.rpartition(".")[2] for name in linears))
    close = difflib.get_close_matches(entry.rpartition(".")[2], leaves, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else f"This model has: {', '.join(leaves)}."


def left_out(model: nn.Module, names: Iterable[str]) -> dict[str, int]:
    """The weights that adapters on the layers `names` cannot reach, name → numbers in it.

    A mixture of experts keeps each kind of expert's weight as one stack of matrices (experts×d×k), which is no Linear.
    Convolutions, biases and norms do not count: no LoRA adapts them.
    """
    reached = tuple(f"{name}." for name in names)
    convolutions = {id(p) for m in model.modules() if isinstance(m, nn.modules.conv._ConvNd) for p in m.parameters()}
    return {
        name: p.numel()
        for name, p in model.named_parameters()
        if p.dim() >= 3 and p.shape[0] > 1 and id(p) not in convolutions and not name.startswith(reached)
    }


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """The (name, layer) pairs of the adapters attached to `model`."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear))


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def detach(model: nn.Module) -> None:
    """Take every adapter off, in place: the base comes back exactly as it was."""
    for name, layer in list(lora_layers(model)):
        _replace(model, name, layer.base_layer)


def merge(model: nn.Module) -> None:
    """Fold every ΔW into its base weight, in place: W ← W + (α/r)·B·A (section 4.1, no inference latency).

    Raises ValueError when a weight is packed in 4 bits; the model is then unchanged.
    """
    for _, layer in lora_layers(model):
        check_mergeable(layer.base_layer)
    for name, layer in list(lora_layers(model)):
        _replace(model, name, layer.merged())


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers an optimizer would update."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def set_scale(model: nn.Module, factor: float) -> None:
    """Add `factor` times the update from now on: 1 as trained, 0 the base alone, −1 its opposite. In place."""
    for _, layer in lora_layers(model):
        layer.scaling = factor * scale(layer.r, layer.lora_alpha, layer.use_rslora)
