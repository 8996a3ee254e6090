"""Requests that reach llama.cpp's server at the same moment: which of them share a pass through the model?

A colleague's scales for a stack of adapters of different ranks, in which exercise 16.2 finds the mistake, are served too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import many_adapters
from ...adapter import Adapter
from ...tools.export.llamacpp import Server

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


def scales(adapters: Sequence[Adapter]) -> Tensor:
    """A scale for each adapter: α over the largest rank, since she has filled all of them up to it with zeros."""
    r = max(adapter.r for adapter in adapters)
    return torch.tensor([adapter.lora_alpha / r for adapter in adapters])


@contextmanager
def at_work(many: Any, adapters: Sequence[Adapter]) -> Iterator[Any]:
    """While the block runs, the stack of `many` has her scales; afterwards it has its own again, also after an error."""
    layers = list(many_adapters.many_layers(many).values())
    own = [layer.scaling for layer in layers]
    try:
        for layer in layers:
            layer.scaling = scales(adapters)
        yield many
    finally:
        for layer, scaling in zip(layers, own, strict=True):
            layer.scaling = scaling
