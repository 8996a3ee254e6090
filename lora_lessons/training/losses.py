"""The loss of a batch: through the model as transformers wrote it,
or by the fast path where it knows the model's blocks.

And how much a step computes: counted, not estimated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..fast import FastPath, why_not
from ..tasks import IGNORED, Encoded, collate
from .processes import ALONE, Alone
from .settings import Settings

OWN = (  # whoever wrote their own layer
    "Your own {} trains, about half as fast as the course's layer, because that one skips padding, the beginning that "
    "all chats share, and logits where nothing is taught (deeper/08_faster)."
)


def losses(model: Any, settings: Settings, ranks: Alone = ALONE) -> Callable[[Sequence[Encoded]], Tensor]:
    """How to get a batch's mean loss per supervised token, in nats.
    Says so on screen where it must go the plain way."""
    if ranks.count > 1:
        return share(model, ranks, settings.autocast)
    if not settings.fast:
        return plain(model, settings.autocast)
    if reason := why_not(model):
        own = next((type(layer).__name__ for layer in model.modules() if hasattr(layer, "made_by")), "")
        print(OWN.format(own) if own else f"This model trains the plain way: {reason}.")
        return plain(model, settings.autocast)
    return FastPath(model, torch.bfloat16 if settings.autocast else None).loss


def plain(model: Any, autocast: bool = False) -> Callable[[Sequence[Encoded]], Tensor]:
    """The loss as transformers computes it, on a batch padded to one rectangle."""
    device = next(p.device for p in model.parameters() if p.requires_grad)

    def loss(batch: Sequence[Encoded]) -> Tensor:
        tensors = {name: t.to(device) for name, t in collate(batch, pad_id=0).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            batch_loss: Tensor = model(**tensors).loss
        return batch_loss

    return loss


def share(model: Any, ranks: Alone, autocast: bool = False) -> Callable[[Sequence[Encoded]], Tensor]:
    """What this rank's examples add to the batch's mean loss: summed over the ranks, it is the loss of one process.

    Each rank's own mean would not do: a rank with short answers would weigh as much as one with long answers (the trap
    of transformers#34191). So the divisor is the number of supervised tokens in the whole batch,
    which every rank knows.
    """
    mean = plain(model, autocast)

    def loss(batch: Sequence[Encoded]) -> Tensor:
        mine = ranks.part(batch)
        weight = predicted(mine) / (predicted(batch) or math.nan)
        # the others need this rank's shards, so with no answer of its own it computes one, and it weighs nothing
        return mean(mine if weight else [max(batch, key=lambda one: predicted([one]))]) * weight

    return loss


def micro_batches(batch: Sequence[Encoded], size: int) -> Iterator[tuple[Sequence[Encoded], float]]:
    """The batch of a step in parts of `size` examples, each with its share of the batch's supervised tokens.

    The parts' mean losses, times their shares, add up to the mean loss of the whole batch, and so do their gradients. A
    mean of means would not do, as little as among ranks (`share`). A part without an answer adds nothing,
    and is left out.
    """
    total = predicted(batch)
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        if supervised := predicted(part):
            yield part, supervised / total
    if not total:
        yield batch[:size], math.nan


def predicted(batch: Sequence[Encoded]) -> int:
    """How many supervised tokens have one before them, from which they are predicted."""
    return sum(int((one.labels[1:] != IGNORED).sum()) for one in batch)


def step_flops(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Floating-point operations in the matrix products of one forward and backward pass over `batch` (see collate)."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(model.parameters()).device
    batch = {name: tensor.to(device) for name, tensor in batch.items()}
    with FlopCounterMode(display=False) as counter:
        model(**batch).loss.backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops()
