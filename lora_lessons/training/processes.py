"""Who trains: this process alone, or several that each hold a part of the model and see a part of each batch.

`ALONE` is the one-process case, in which nothing is divided. `cluster.fsdp` has the other; ranks are its processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn

from ..tasks import Encoded


class Alone:
    """One process, rank 0 of 1: it holds every parameter, sees every example, and owes nobody a number."""

    number, count = 0, 1

    @property
    def main(self) -> bool:
        """Whether this is the rank that writes files."""
        return self.number == 0

    def shard(self, model: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """The model and its optimizer, each cut into `count` parts."""
        return model, optimizer

    def part(self, batch: Sequence[Encoded]) -> Sequence[Encoded]:
        """The examples of a batch that this rank sees."""
        return batch

    def total(self, loss: Tensor) -> Tensor:
        """The sum of what each rank found."""
        return loss

    def each(self, *numbers: int) -> list[list[int]]:
        """For each of these numbers, what every rank has."""
        return [[number] for number in numbers]

    def main_first(self) -> AbstractContextManager[None]:
        """The block runs on rank 0, and on the others when it has left it."""
        return nullcontext()

    def agree(self, steps: int) -> None:
        """Raise TrainingStopped unless every rank has found the same number of steps on the disk."""


ALONE = Alone()


def whole(tensor: Any) -> Any:
    """A sharded tensor in one piece, on every rank, all of which must ask for it; any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def sharded_like(p: Tensor, tensor: Tensor) -> Tensor:
    """This rank's part of `tensor` where `p`, of the same shape, is sharded; all of it where `p` is whole."""
    tensor = tensor.to(p.device)
    if not hasattr(p, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    # every rank has read the whole file: nothing is sent
    return distribute_tensor(tensor, p.device_mesh, p.placements, src_data_rank=None)  # type: ignore[attr-defined]
