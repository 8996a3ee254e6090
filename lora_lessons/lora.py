"""LoRA (Hu et al. 2021, section 4): leave W alone, learn a small B·A beside it.

x ─┬─ W (d×k, frozen) ─────────────────────┐
   └─ A (r×k) ── B (d×r, zero) ── × α/r ── + ── h
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from .targets import left_out as left_out
from .targets import resolve_targets as resolve_targets
from .targets import stacked as stacked


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
    largest = torch.finfo(torch.float32).max
    if isinstance(lora_alpha, bool) or not isinstance(lora_alpha, (int, float)) or not 0 < lora_alpha <= largest:
        raise ValueError(
            f"lora_alpha = {lora_alpha!r} must be a number above 0, and one that fits 32 bits: the update is scaled by "
            "α/r (try 16)."
        )


def check_mergeable(base_layer: nn.Linear) -> None:
    """Raise ValueError unless ΔW can be added to this layer's weight number by number."""
    if not base_layer.weight.is_floating_point():
        raise ValueError(
            "this base is packed in 4 bits, where ΔW cannot be added: keep the adapter apart, or save it "
            "(save_adapter), load the base in 16 bits, load_adapter there, and merge that."
        )


@torch.no_grad()
def check_update(name: str, A: Tensor, B: Tensor, scaling: float) -> None:
    """Raise ValueError, naming the layer, unless every number of A, B and scaling·B·A is finite in 32 bits."""
    for part, matrix in (("lora_A", A), ("lora_B", B)):
        if not matrix.isfinite().all():
            raise ValueError(
                f"{name}: {part} holds NaN or infinity, and so would every answer. Look at the loss of that run, and "
                "train again with a lower learning rate, in bf16 rather than fp16."
            )
    # No number of B·A is larger than this: each direction's largest in B times its largest in A, added up.
    largest = abs(scaling) * float(B.double().abs().amax(0) @ A.double().abs().amax(1))
    if largest > torch.finfo(torch.float32).max:
        raise ValueError(
            f"{name}: the update goes up to {largest:.0e}, more than 32 bits hold. Look at the loss of that run, and "
            "train again with a lower learning rate."
        )


def attach(
    model: nn.Module,
    r: int = 8,
    lora_alpha: float = 16,
    target_modules: str | Iterable[str] = "all-linear",
    *,
    use_rslora: bool = False,
    seed: int = 0,
    rank_pattern: Mapping[str, int] | None = None,
    alpha_pattern: Mapping[str, float] | None = None,
) -> list[str]:
    """Freeze `model` and put a LoRALinear around each targeted Linear, in place; return their names.

    `target_modules` is "all-linear" (every Linear but the output head) or names such as ["q_proj", "v_proj"].
    `rank_pattern` and `alpha_pattern` give single layers, by their full names, another r or lora_alpha.
    Warns when "all-linear" leaves out the experts of a mixture (`left_out`). Raises ValueError when r, lora_alpha or a
    target cannot work; the model is then unchanged.
    """
    if any(True for _ in lora_layers(model)):
        raise ValueError(
            "this model already carries adapters: take them off with detach(model), or load the base again."
        )
    names = resolve_targets(model, target_modules)
    linears = {name: cast(nn.Linear, model.get_submodule(name)) for name in names}
    settings = {
        name: ((rank_pattern or {}).get(name, r), (alpha_pattern or {}).get(name, lora_alpha)) for name in names
    }
    embeddings = getattr(model, "get_input_embeddings", lambda: None)()
    for name, linear in linears.items():
        if embeddings is not None and linear.weight is embeddings.weight:
            raise ValueError(
                f"{name} shares its weight with the input embeddings: merging would change both. Leave it out."
            )
        check_settings(*settings[name], linear.out_features, linear.in_features)
    replace_layers(model, names, lambda name, linear: LoRALinear(linear, *settings[name], use_rslora), seed)
    if target_modules == "all-linear" and (missed := left_out(model, names)):
        warnings.warn(
            f"all-linear adapts {len(names)} Linear layers and leaves out {len(missed)} weights with "
            f"{sum(missed.values()):,} numbers, such as {next(iter(missed))}: they are the experts of a mixture, "
            "stacked in one parameter, and stay as they are. To adapt them too, use PEFT's target_parameters.",
            stacklevel=2,
        )
    return names


def replace_layers(
    model: nn.Module, names: Iterable[str], make: Callable[[str, nn.Linear], nn.Module], seed: int = 0
) -> None:
    """Freeze `model` and put what `make` makes of each named Linear in its place, one after the other,
    with this seed."""
    model.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            model.set_submodule(name, make(name, cast(nn.Linear, model.get_submodule(name))))


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """The (name, layer) pairs of the adapters attached to `model`."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear))


def detach(model: nn.Module) -> None:
    """Take every adapter off, in place: the base comes back exactly as it was."""
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.base_layer)


@torch.no_grad()
def _check_fp16(name: str, layer: LoRALinear) -> None:
    """Raise ValueError, naming the layer, where W is in fp16 and W + ΔW goes beyond it: it would become infinite."""
    weight, end = layer.base_layer.weight, torch.finfo(torch.float16).max
    if weight.dtype == torch.float16 and (largest := float((weight + layer.delta()).abs().max())) > end:
        raise ValueError(
            f"{name}: W + ΔW goes up to {largest:.3g}, and fp16 ends at {end:,.0f}: load the base in bf16 or fp32, "
            "load_adapter there, and merge that."
        )


def merge(model: nn.Module) -> None:
    """Fold every ΔW into its base weight, in place: W ← W + (α/r)·B·A (section 4.1, no inference latency).

    Raises ValueError when a weight is packed in 4 bits, an update is not finite, or fp16 does not hold the sum;
    the model is then unchanged.
    """
    for name, layer in lora_layers(model):
        check_mergeable(layer.base_layer)
        check_update(name, layer.lora_A, layer.lora_B, layer.scaling)
        _check_fp16(name, layer)
    for name, layer in list(lora_layers(model)):
        model.set_submodule(name, layer.merged())


def trainable_parameters(model: nn.Module) -> int:
    """How many numbers an optimizer would update."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def set_scale(model: nn.Module, factor: float) -> None:
    """Add `factor` times the update from now on: 1 as trained, 0 the base alone, −1 its opposite. In place.

    Raises ValueError when `factor` is no finite number.
    """
    if not isinstance(factor, (int, float)) or not math.isfinite(factor):
        raise ValueError(f"factor = {factor!r} must be a finite number: 1 adds the update as it was trained.")
    for _, layer in lora_layers(model):
        layer.scaling = factor * scale(layer.r, layer.lora_alpha, layer.use_rslora)
