"""FSDP: every rank holds a part of every matrix, and the whole of one block at a time.

A 4-bit base is kept so that it can be cut; what a rank holds and what travels between ranks is counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather, DefaultReduceScatter

from lora_lessons.machine import forget_peak
from lora_lessons.tasks import Encoded
from lora_lessons.training.processes import Alone
from lora_lessons.training.settings import TrainingStopped


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
        gathered = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(gathered, mine)
        return torch.stack(gathered, dim=1).tolist()

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
        extremes = torch.tensor([steps, -steps])
        dist.all_reduce(extremes, dist.ReduceOp.MAX)
        if extremes[0] != -extremes[1]:
            raise TrainingStopped(
                f"one rank found a run of {-extremes[1]} steps on its disk and another one of {extremes[0]}: the "
                "folder must be one that every machine sees, such as a network disk."
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


def store_as(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Keep the codes of every Linear4bit of `model` as `dtype`, in place: a view of the same bytes.

    The scales (absmax) of each weight stay with its module, from where bitsandbytes fetches them once FSDP has made a
    plain parameter of the codes. Raises ValueError for a weight whose bytes are no whole number of `dtype`s, and
    on a CPU for one whose rows are no whole number of blocks.
    """
    import bitsandbytes as bnb  # it takes seconds, and each rank would spend them

    for name, module in model.named_modules():
        if not isinstance(module, bnb.nn.Linear4bit):
            continue
        weight: Any = module.weight
        if weight.nbytes % dtype.itemsize:
            raise ValueError(f"{name} has {weight.nbytes} bytes of codes, which are no whole numbers of {dtype}.")
        if weight.device.type == "cpu" and weight.quant_state.shape[1] % weight.quant_state.blocksize:
            raise ValueError(
                f"{name} has rows of {weight.quant_state.shape[1]}, no whole blocks of {weight.quant_state.blocksize}: "
                "bitsandbytes' kernel for processors takes the scales of other blocks there; use fp32 or bf16."
            )
        module.quant_state, module.quant_storage = weight.quant_state, dtype
        module.weight = bnb.nn.Params4bit(
            weight.data.as_subclass(torch.Tensor).reshape(-1).view(dtype).reshape(-1, 1),
            requires_grad=False,
            quant_state=weight.quant_state,
            blocksize=weight.quant_state.blocksize,
            compress_statistics=weight.quant_state.nested,
            quant_type=weight.quant_state.quant_type,
            quant_storage=dtype,
            module=module,
            bnb_quantized=True,
        )
    return model


def sharded_bytes(model: nn.Module) -> int:
    """Bytes of parameters that this rank holds between blocks: its shards, and what is not sharded.

    Of a 4-bit weight the packed codes are sharded; the scales (absmax), which stay whole on each rank, count too.
    """
    total = sum((p.to_local() if hasattr(p, "to_local") else p).nbytes for p in model.parameters())
    for module in model.modules():
        state = getattr(module, "quant_state", None)
        total += sum(t.nbytes for t in state.as_dict(packed=True).values()) if state else 0
    return total


class Traffic:
    """Bytes that this rank has sent: the least that any algorithm must, without what the network adds.

    In an all-gather each of N ranks sends its shard to N − 1 others; in a reduce-scatter,
    N − 1 of the N parts of what it holds.
    """

    def __init__(self, ranks: int) -> None:
        self.ranks, self.sent = ranks, 0

    def count(self, model: nn.Module) -> None:
        """Count from now on what each FSDP unit of `model` sends."""
        for unit in model.modules():
            if isinstance(unit, FSDPModule):
                unit.set_custom_all_gather(CountedAllGather(self))
                unit.set_custom_reduce_scatter(CountedReduceScatter(self))


class CountedAllGather(DefaultAllGather):
    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.traffic.sent += input_tensor.nbytes * (self.traffic.ranks - 1)
        return super().__call__(output_tensor, input_tensor, *args, **kwargs)


class CountedReduceScatter(DefaultReduceScatter):
    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.traffic.sent += input_tensor.nbytes * (self.traffic.ranks - 1) // self.traffic.ranks
        return super().__call__(output_tensor, input_tensor, *args, **kwargs)
