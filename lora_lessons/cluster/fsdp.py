"""FSDP: every rank holds a part of every matrix, and the whole of one block at a time.

between blocks   rank 0 holds rows 0 … d/2 of W (d×k), rank 1 the rest; so of A (r×k), B (d×r) and AdamW's moments
a block's turn   all-gather: each rank sends its rows to the others, until all hold W, A and B of this block
                 forward on the rank's own examples; then the others' rows are let go
on the way back  all-gather again, since they are gone; backward; they are let go again
                 reduce-scatter: each rank gets, for its own rows of A and B, the gradients of all ranks added up
the step         AdamW moves the rank's own rows, with its own rows of the moments; nothing is sent

The frozen W has no gradient, so reduce-scatter carries the adapter alone: about a hundredth on the course's base (r=8).
This is FSDP2 (`torch.distributed.fsdp.fully_shard`, one shard a parameter) as accelerate sets it up. FSDP1 glues a
block's parameters into one flat one, so all of them must have one dtype: a base in bf16 and our adapter in fp32 do not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..tasks import Encoded
from ..training.ranks import Alone
from ..training.settings import TrainingStopped
from .held import forget_peak
from .traffic import Traffic


class ShardedRank(Alone):
    """One of several ranks that train together, with the model and the optimizer cut into as many parts.

    Made in each process that accelerate's launcher has started, once its process group is there.
    """

    def __init__(self) -> None:
        self.number, self.count = dist.get_rank(), dist.get_world_size()
        self.traffic = Traffic(self.count)

    def part(self, batch: Sequence[Encoded]) -> Sequence[Encoded]:
        """Every `count`-th example, beginning with this rank's: of 5 among 2 ranks, 3 and 2."""
        return batch[self.number :: self.count]

    def total(self, loss: Tensor) -> Tensor:
        """An all-reduce of one number: each rank's share of the loss, added up."""
        summed = loss.detach().clone()
        dist.all_reduce(summed)
        return summed

    def shard(self, model: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """`model`, whole on every rank, cut by accelerate: a parameter of d rows becomes one of about d/count here.

        The optimizer follows: it had the whole parameters, and gets the shards. Both are changed in place.
        """
        accelerator = fsdp_accelerator()
        model, prepared = accelerator.prepare(model, optimizer)
        self.traffic.count(model)
        forget_peak()
        return model, prepared.optimizer

    def each(self, *numbers: int) -> list[list[int]]:
        """An all-gather of a few numbers: for each of them, what every rank has."""
        mine = torch.tensor(numbers)
        found = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(found, mine)
        return torch.stack(found, dim=1).tolist()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The block runs on rank 0, and on the others when it has left it."""
        if not self.main:
            dist.barrier()
        try:
            yield
        finally:
            if self.main:
                dist.barrier()

    def agree(self, steps: int) -> None:
        """Raise TrainingStopped unless every rank has found the same number of steps on the disk."""
        found = torch.tensor([steps, -steps])
        dist.all_reduce(found, dist.ReduceOp.MAX)
        if found[0] != -found[1]:
            raise TrainingStopped(
                f"one rank found a run of {-found[1]} steps on its disk and another one of {found[0]}: the folder must be "
                "one that every machine sees, such as a network disk."
            )


def fsdp_accelerator() -> Any:
    """accelerate's Accelerator, with FSDP as the launcher's file says (its environment variables FSDP_…)."""
    from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin

    plugin = FullyShardedDataParallelPlugin()
    accelerator = Accelerator(cpu=not on_cards(), fsdp_plugin=plugin)
    if not on_cards():
        # accelerate keeps FSDP for cards and would replicate the model here; torch's own FSDP runs on a CPU as well
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = plugin
    return accelerator


def on_cards() -> bool:
    """Whether the ranks have cards, and are not told to leave them (ACCELERATE_USE_CPU)."""
    return torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("1", "true", "yes")
