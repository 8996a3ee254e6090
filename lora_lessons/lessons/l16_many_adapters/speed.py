"""What a batch costs in which every row wants some adapter: swapped, merged or gathered, measured side by side.

Two things are measured for each way: what must be done before the first token, and one step, in which every row gets
its next token. From them follow the tokens per second of answers of a given length. All ways are measured in turn in every
round, so that a busy moment hits all of them, and each way's fastest round counts. The hundred adapters come from four:
those that the course ships, and relatives of them that nobody trained.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import many_adapters, mixing
from ...adapter import Adapter


def hundred(trained: Sequence[Adapter], count: int = 100, seed: int = 0) -> list[Adapter]:
    """`trained` and relatives of theirs, `count` in all, no two alike, in fp16.

    A relative has its parent's directions, each made weaker or stronger by chance (0.5 to 1.5 times); every third keeps
    only half of them, so its rank is half as large, and its scale α/r twice as large.
    """
    generator = torch.Generator().manual_seed(seed)
    made = [_in_16_bits(adapter) for adapter in trained]
    for n in range(len(made), count):
        parent = trained[n % len(trained)]
        r = max(1, parent.r // 2) if n % 3 == 0 else parent.r
        strength = 0.5 + torch.rand(r, 1, generator=generator)
        A = {layer: strength * matrix[:r] for layer, matrix in parent.A.items()}
        B = {layer: matrix[:, :r] for layer, matrix in parent.B.items()}
        made.append(_in_16_bits(parent._replace(name=f"{parent.name}_{n}", r=r, A=A, B=B)))
    return made


def _in_16_bits(adapter: Adapter) -> Adapter:
    A, B = ({layer: matrix.half() for layer, matrix in part.items()} for part in (adapter.A, adapter.B))
    return adapter._replace(A=A, B=B)


ROWS, TOKENS = 32, 64
GATHERED, COPIES, SWAPPED, MERGED, PEFT = "gathered", "merged copies", "swapped", "merged for each", "PEFT"


class Cost(NamedTuple):
    """Seconds before the first token, and of one step of the whole batch."""

    before: float
    step: float

    def tokens_per_second(self, rows: int = ROWS, tokens: int = TOKENS) -> float:
        """Of all rows together, when each of them gets an answer of `tokens` tokens."""
        return rows * tokens / (self.before + tokens * self.step)


def fastest(rounds: Sequence[Cost]) -> Cost:
    """The round with the most tokens per second."""
    return max(rounds, key=Cost.tokens_per_second)


def times(rounds: Sequence[Cost], others: Sequence[Cost]) -> float:
    """How many times as many tokens per second, fastest round against fastest round."""
    return fastest(rounds).tokens_per_second() / fastest(others).tokens_per_second()


def groups(wanted: Sequence[str | None]) -> dict[str | None, list[int]]:
    """The rows that want the same adapter, by its name."""
    rows: dict[str | None, list[int]] = {}
    for row, name in enumerate(wanted):
        rows.setdefault(name, []).append(row)
    return rows


@torch.no_grad()
def one_step(model: Any, ids: Tensor) -> Tensor:
    """Every row's next token, with nothing before it: the keys and values of earlier tokens would cost every way the same."""
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


def the_rows(adapters: Sequence[Adapter], different: int) -> tuple[list[str], Tensor]:
    """What each of ROWS rows wants, so that `different` adapters share the batch evenly, and a token for each row."""
    return [adapters[row % different].name for row in range(ROWS)], torch.arange(3, 3 + ROWS)[:, None]


def compare(
    base: Any, many: Any, adapters: Sequence[Adapter], different: Sequence[int], rounds: int = 3
) -> dict[str, dict[int, list[Cost]]]:
    """The rounds of each way for a batch with 1, 4 … different adapters: {way: {how many: a Cost for each round}}.

    `base` is bare; `many` has `adapters` stacked beside the same weights. Merging takes as long for every adapter: one is
    timed in each round. What a merged model for each adapter would take is timed on the base, which is as large.
    """
    by_name = {adapter.name: adapter for adapter in adapters}
    costs: dict[str, dict[int, list[Cost]]] = {
        way: {n: [] for n in different} for way in (GATHERED, COPIES, SWAPPED, MERGED)
    }
    for _ in range(rounds):
        merge = one_merge(base, adapters[0])
        for n in different:
            wanted, ids = the_rows(adapters, n)
            alone = copies(base, wanted, ids)
            costs[GATHERED][n].append(gathering(many, wanted, ids))
            costs[COPIES][n].append(alone)
            costs[SWAPPED][n].append(swapping(base, by_name, wanted, ids))
            costs[MERGED][n].append(Cost(n * merge, alone.step))
    return costs


def hold(theirs: Any, adapters: Sequence[Adapter]) -> None:
    """Give PEFT's model those of `adapters` that it does not hold yet."""
    from peft import LoraConfig, set_peft_model_state_dict

    for one in adapters:
        if one.name not in theirs.peft_config:
            how: dict[str, Any] = {"r": one.r, "lora_alpha": one.lora_alpha, "target_modules": list(one.A)}
            theirs.add_adapter(one.name, LoraConfig(**how))
            weights = {"lora_A": one.A, "lora_B": one.B}
            named = {
                f"base_model.model.{layer}.{of}.weight": W for of, part in weights.items() for layer, W in part.items()
            }
            set_peft_model_state_dict(theirs, named, adapter_name=one.name)


def beside_peft(
    theirs: Any, many: Any, adapters: Sequence[Adapter], different: Sequence[int], rounds: int = 3
) -> dict[int, dict[str, list[Cost]]]:
    """The rounds of PEFT's model and of ours, in turn, on a batch that wants 4, 8 … different adapters.

    Both hold the first of `adapters`, as many as the largest batch wants.
    """
    costs: dict[int, dict[str, list[Cost]]] = {n: {PEFT: [], GATHERED: []} for n in different}
    for _ in range(rounds):
        for n, ways in costs.items():
            wanted, ids = the_rows(adapters, n)
            start = time.perf_counter()
            with torch.no_grad():
                theirs(input_ids=ids, adapter_names=wanted, use_cache=False)
            ways[PEFT].append(Cost(0.0, time.perf_counter() - start))
            ways[GATHERED].append(gathering(many, wanted, ids))
    return costs
