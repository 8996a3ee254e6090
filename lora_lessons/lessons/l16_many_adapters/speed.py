"""What a batch costs in which every row wants some adapter: swapped, merged or gathered, measured side by side.

Two things are measured for each way: what must be done before the first token, and one step, in which every row gets
its next token. From them follow the tokens per second of answers of a given length.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import many_adapters, mixing
from ...adapter import Adapter

ROWS, TOKENS = 32, 64
GATHERED, COPIES, SWAPPED, MERGED = "gathered", "merged copies", "swapped", "merged for each"


class Cost(NamedTuple):
    """Seconds before the first token, and of one step of the whole batch."""

    before: float
    step: float

    def tokens_per_second(self, rows: int = ROWS, tokens: int = TOKENS) -> float:
        """Of all rows together, when each of them gets an answer of `tokens` tokens."""
        return rows * tokens / (self.before + tokens * self.step)


def groups(wanted: Sequence[str | None]) -> dict[str | None, list[int]]:
    """The rows that want the same adapter, by its name."""
    found: dict[str | None, list[int]] = {}
    for row, name in enumerate(wanted):
        found.setdefault(name, []).append(row)
    return found


@torch.no_grad()
def one_step(model: Any, ids: Tensor) -> Tensor:
    """Every row's next token. The keys and values of earlier tokens are left out: they cost every way the same."""
    return model(ids, use_cache=False).logits[:, -1].argmax(-1)


def swapping(base: Any, adapters: Mapping[str, Adapter], wanted: Sequence[str | None], ids: Tensor) -> Cost:
    """Group after group: its adapter put on, its rows run, its adapter taken off."""
    swaps = steps = 0.0
    for name, rows in groups(wanted).items():
        start = time.perf_counter()
        with mixing.attached(base, None if name is None else adapters[name]):
            on = time.perf_counter()
            one_step(base, ids[rows])
            done = time.perf_counter()
        swaps += (on - start) + (time.perf_counter() - done)
        steps += done - on
    return Cost(swaps, steps)


def copies(base: Any, wanted: Sequence[str | None], ids: Tensor) -> Cost:
    """Group after group through a merged model of its own. It is as large as the base, so the bare base is timed."""
    start = time.perf_counter()
    for rows in groups(wanted).values():
        one_step(base, ids[rows])
    return Cost(0.0, time.perf_counter() - start)


def gathering(many: Any, wanted: Sequence[str | None], ids: Tensor) -> Cost:
    """All rows at once, each through its own A and B."""
    start = time.perf_counter()
    with many_adapters.chosen(many, wanted):
        gathered = time.perf_counter()
        one_step(many, ids)
        return Cost(gathered - start, time.perf_counter() - gathered)


def one_merge(base: Any, adapter: Adapter) -> float:
    """Seconds to merge one adapter into the base and to put the base back."""
    with mixing.attached(base, adapter):
        start = time.perf_counter()
        with mixing.merged(base):
            pass
        return time.perf_counter() - start


def compare(
    base: Any, many: Any, adapters: Sequence[Adapter], different: Sequence[int], rounds: int = 2
) -> dict[str, dict[int, Cost]]:
    """The cost of each way for a batch of ROWS rows with 1, 2, 4 … different adapters: {way: {how many: cost}}.

    `base` is bare; `many` has `adapters` stacked beside the same weights. All are measured in turn, `rounds` times, so that
    a busy moment hits all of them, and the fastest counts. Merging takes as long for every adapter: it is timed on one.
    """
    by_name, ids = {adapter.name: adapter for adapter in adapters}, torch.arange(3, 3 + ROWS)[:, None]
    found: dict[str, dict[int, Cost]] = {way: {} for way in (GATHERED, COPIES, SWAPPED, MERGED)}
    for _ in range(rounds):
        merge = one_merge(base, adapters[0])
        for n in different:
            wanted = [adapters[row % n].name for row in range(ROWS)]
            alone = copies(base, wanted, ids)
            _keep(found[GATHERED], n, gathering(many, wanted, ids))
            _keep(found[COPIES], n, alone)
            _keep(found[SWAPPED], n, swapping(base, by_name, wanted, ids))
            _keep(found[MERGED], n, Cost(n * merge, alone.step))
    return found


def _keep(costs: dict[int, Cost], n: int, cost: Cost) -> None:
    """Keep the fastest `before` and the fastest step so far."""
    costs[n] = Cost(*map(min, cost, costs.get(n, cost)))
