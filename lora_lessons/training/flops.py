"""How much a training step computes: counted, not estimated."""

from __future__ import annotations

from torch import Tensor, nn


def step_flops(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Floating-point operations in the matrix products of one forward and backward pass over `batch` (see collate)."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops()
