"""What travels between the ranks: the bytes of each all-gather and reduce-scatter, counted where FSDP calls them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather, DefaultReduceScatter


class Traffic:
    """Bytes that this rank has sent: the least that any algorithm must, without what the network adds.

    In an all-gather each of N ranks sends its shard to N − 1 others; in a reduce-scatter, N − 1 of the N parts of what it
    holds.
    """

    def __init__(self, ranks: int) -> None:
        self.ranks, self.gathered, self.reduced = ranks, 0, 0

    @property
    def sent(self) -> int:
        return self.gathered + self.reduced

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
        self.traffic.gathered += input_tensor.nbytes * (self.traffic.ranks - 1)
        return super().__call__(output_tensor, input_tensor, *args, **kwargs)


class CountedReduceScatter(DefaultReduceScatter):
    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.traffic.reduced += input_tensor.nbytes * (self.traffic.ranks - 1) // self.traffic.ranks
        return super().__call__(output_tensor, input_tensor, *args, **kwargs)
