"""What lesson 16 measures and records: a batch in which every row wants some adapter, four ways to answer it,
side by side.

Of each way two things are timed: what must be done before the first token, and one step, in which every row gets its
next token. From them follow the tokens per second of answers of a given length. All ways are timed in turn in every
round, so that a busy moment hits all of them, and each way's fastest round counts. The hundred adapters come from four:
those that the course ships, and relatives of them that nobody trained.

And requests that reach llama.cpp's server at the same moment: which of them share a pass through the model?
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import many_adapters, mixing
from ...adapter import Adapter
from ...course import record
from ...llamacpp import Server
from ...memory import held_bytes

# ---- a hundred adapters ----


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


# ---- four ways to answer a batch ----


ROWS, TOKENS = 32, 64
GATHERED, PEFT, SWAPPED, COPIES = "gathered", "PEFT", "swapped", "merged copies"


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
    """Every row's next token, with nothing before it:
    the keys and values of earlier tokens would cost every way the same."""
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


@torch.no_grad()
def with_peft(theirs: Any, wanted: Sequence[str | None], ids: Tensor) -> Cost:
    """All rows at once through PEFT's model, which goes through their adapters one by one inside each layer."""
    start = time.perf_counter()
    theirs(input_ids=ids, adapter_names=[name or "__base__" for name in wanted], use_cache=False)
    return Cost(0.0, time.perf_counter() - start)


def the_rows(adapters: Sequence[Adapter], different: int) -> tuple[list[str], Tensor]:
    """What each of ROWS rows wants, so that `different` adapters share the batch evenly, and a token for each row."""
    return [adapters[row % different].name for row in range(ROWS)], torch.arange(3, 3 + ROWS)[:, None]


Costs = dict[str, dict[int, list[Cost]]]


def compare(
    base: Any, many: Any, theirs: Any, adapters: Sequence[Adapter], different: Sequence[int], rounds: int = 3
) -> Costs:
    """The rounds of each way for a batch with 1, 4 … different adapters: {way: {how many: a Cost for each round}}.

    `base` is bare; `many` has `adapters` stacked beside the same weights; `theirs` is PEFT's model, which holds the
    first of them, as many as the largest batch wants.
    """
    by_name = {adapter.name: adapter for adapter in adapters}
    costs: Costs = {way: {n: [] for n in different} for way in (GATHERED, PEFT, SWAPPED, COPIES)}
    for _ in range(rounds):
        for n in different:
            wanted, ids = the_rows(adapters, n)
            costs[COPIES][n].append(copies(base, wanted, ids))
            costs[GATHERED][n].append(gathering(many, wanted, ids))
            costs[PEFT][n].append(with_peft(theirs, wanted, ids))
            costs[SWAPPED][n].append(swapping(base, by_name, wanted, ids))
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


# ---- llama.cpp's server ----


Scales = Mapping[str, float]  # {adapter: scale}; {} is the base alone


class Answered(NamedTuple):
    """One request: what it asked for, and when it was worked on, in seconds after all of them were sent."""

    scales: Scales
    start: float
    end: float


class Together(NamedTuple):
    """What became of requests sent at one moment."""

    answered: list[Answered]
    tokens: int  # of all requests: a prompt's last token gives the first of them
    passes: int  # how often the model ran

    @property
    def shared(self) -> float:
        """Tokens per pass: 1 where every request had each pass to itself."""
        return self.tokens / self.passes


def at_once(server: Server, prompt: Sequence[int], asked: Sequence[Scales], tokens: int = 16) -> Together:
    """Send a request for each of `asked` at the same moment; each gets `tokens` tokens after `prompt`."""
    ready = threading.Barrier(len(asked) + 1)
    started = [0.0]

    def ask(scales: Scales) -> Answered:
        body = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "ignore_eos": True,
            "temperature": 0,
            "cache_prompt": False,
        }
        adapters = [{"id": i, "scale": float(scales.get(name, 0.0))} for i, name in enumerate(server.names)]
        ready.wait()
        took = server.ask("/completion", body | {"lora": adapters})["timings"]
        end = time.perf_counter() - started[0]
        return Answered(scales, end - (took["prompt_ms"] + took["predicted_ms"]) / 1000, end)

    before = server.passes()
    with ThreadPoolExecutor(len(asked)) as pool:
        waiting = [pool.submit(ask, scales) for scales in asked]
        started[0] = time.perf_counter()
        ready.wait()
        answered = [one.result() for one in waiting]
    return Together(answered, tokens * len(asked), server.passes() - before)


def logprobs_at_once(server: Server, prompt: Sequence[int], asked: Sequence[Scales]) -> Tensor:
    """Log-probabilities of the next token for each of `asked`, sent at one moment: (requests, vocabulary)."""
    with ThreadPoolExecutor(len(asked)) as pool:
        return torch.stack(list(pool.map(lambda scales: server.next_logprobs(prompt, scales), asked)))


# ---- what is recorded ----


def record_memory(many: Any, adapters: Sequence[Adapter], merged: int) -> None:
    """What the stacks of `many` hold; a merged model takes `merged` bytes."""
    stacks = [part for layer in many_adapters.many_layers(many).values() for part in (layer.lora_A, layer.lora_B)]
    held = held_bytes(stacks)
    record("memory.adapters", len(adapters), "adapters, all different")
    record("memory.each_mb", held / len(adapters) / 1e6, "MB for one more adapter")
    record("memory.hundred_mb", held / 1e6, "MB for all of them")
    record("memory.merged_mb", merged / 1e6, "MB for one merged model in 16 bits")
    record("memory.merged_gb", len(adapters) * merged / 1e9, "GB for as many merged models")


def record_same(gaps: Mapping[str, float]) -> None:
    """Whether each way of `gaps` gave the logits of the merged models; a gap is the largest difference of a logit."""
    for way, gap in gaps.items():
        record(f"same.{way.lower()}", gap < 1e-3, "logits of the merged models")


def record_speed(costs: Costs) -> float:
    """How the ways compare; returns how many times swapping's tokens per second gathering has, all rows different."""
    one, most = ({way: rounds[n] for way, rounds in costs.items()} for n in (1, ROWS))
    faster = times(most[GATHERED], most[SWAPPED])
    record("speed.times", faster, "times swapping, 32 different adapters", volatile=True)
    record("speed.one", times(one[GATHERED], one[COPIES]), "of one merged model's speed, one adapter", volatile=True)
    record("speed.peft", times(most[GATHERED], most[PEFT]), "times PEFT, 32 different adapters", volatile=True)
    return faster


def record_llama(together: Mapping[str, Together], apart: float) -> None:
    """Which requests shared passes of llama.cpp's server;
    `apart` is how far its answers were from each own adapter's."""
    record("llama.right", apart < 1e-3, "each answer is its own adapter's")
    record("llama.same_share", together["one adapter"].shared > 1.5, "one adapter: they share passes")
    record("llama.different_share", together["four adapters"].shared > 1.05, "different adapters: they share passes")
