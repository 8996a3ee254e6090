"""Equal weights, bit for bit: digests over the bytes that a model's numbers depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over every frozen parameter's name and bytes: equal digests mean equal weights, bit for bit."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.replace(".base_layer", "").encode())
            for data in parameter_bytes(parameter):
                digest.update(data)
    return digest.hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor], *said: str) -> str:
    """SHA-256 over what is `said` of some tensors, and over each one's name, type, shape and bytes, sorted by name."""
    digest = hashlib.sha256(repr(said).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def parameter_bytes(parameter: nn.Parameter) -> Iterator[Any]:
    """The bytes that a parameter's numbers depend on, as buffers: for a 4-bit one also its codebook, absmax and offset.

    Two 4-bit weights of equal codes and different absmax are different weights.
    """
    state: Any = getattr(parameter, "quant_state", None)
    tensors: list[Tensor] = [parameter, *(state.as_dict(packed=True).values() if state else ())]
    yield from map(_bytes, tensors)


def _bytes(tensor: Tensor) -> Any:
    """A tensor's bytes as a buffer: not copied where it lies on the processor in one piece."""
    import torch

    flat = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
