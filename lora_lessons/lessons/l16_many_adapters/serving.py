"""Requests that reach llama.cpp's server at the same moment: which of them share a pass through the model?

And vLLM's and SGLang's servers, where they are installed and a card is there: a batch in which each row names its adapter.

A colleague's scales for a stack of adapters of different ranks, in which exercise 16.2 finds the mistake, are served too.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import many_adapters
from ...adapter import Adapter
from ...errors import ModelError
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


NAMES = {"vLLM": "vllm", "SGLang": "sglang"}  # what people call it, and the module
BASE = "base"  # the name under which a row asks for no adapter
PATIENCE = 600  # seconds for a server to load a model


def missing(name: str) -> str:
    """Why the server called `name` does not run here, in a sentence; "" where it does."""
    if importlib.util.find_spec(NAMES[name]) is None:
        return f"{name} is not installed here, so it did not run."
    return "" if torch.cuda.is_available() else f"{name} needs a card, and there is none here, so it did not run."


def command(name: str, base: Path, adapters: Mapping[str, Path], port: int, token: str, r: int) -> list[str]:
    """The words that start it: all `adapters`, of rank `r` at most, may be in one batch. It listens on loopback."""
    where = ["--host", "127.0.0.1", "--port", str(port), "--api-key", token, "--enable-lora"]
    named, at_once = [f"{one}={folder}" for one, folder in adapters.items()], str(len(adapters))
    if name == "SGLang":
        start = ["sglang.launch_server", "--model-path", str(base), *where]
        return [sys.executable, "-m", *start, "--lora-paths", *named, "--max-loras-per-batch", at_once]
    start = ["vllm.entrypoints.openai.api_server", "--model", str(base), "--served-model-name", BASE, *where]
    return [sys.executable, "-m", *start, "--lora-modules", *named, "--max-loras", at_once, "--max-lora-rank", str(r)]


class GpuServer:
    """A server that answers at `url` who knows `token`."""

    def __init__(self, name: str, url: str, token: str) -> None:
        self.name, self.url, self.token = name, url, token

    def ask(self, path: str, body: Any = None) -> bytes:
        """The server's answer to `body`, read as JSON. Raises OSError where there is none."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return bytes(response.read())

    def answers(self, prompts: Sequence[str], wanted: Sequence[str | None], tokens: int = 40) -> list[str]:
        """The greedy text after each prompt, each row through the adapter that it wants; None is the base alone."""
        if self.name == "SGLang":
            how = {"max_new_tokens": tokens, "temperature": 0}
            response = self.ask("/generate", {"text": list(prompts), "sampling_params": how, "lora_path": list(wanted)})
            return [row["text"] for row in json.loads(response)]

        def one(prompt: str, adapter: str | None) -> str:
            body = {"model": adapter or BASE, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
            return str(json.loads(self.ask("/v1/completions", body))["choices"][0]["text"])

        with ThreadPoolExecutor(len(prompts)) as pool:  # sent together, so that the server may batch them
            return list(pool.map(one, prompts, wanted))


@contextmanager
def running(name: str, base: Path, adapters: Mapping[str, Path], r: int) -> Iterator[GpuServer]:
    """While the block runs, so does the server. Raises ModelError with its last words where it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = GpuServer(name, f"http://127.0.0.1:{port}", secrets.token_hex(16))
    with tempfile.TemporaryFile("w+") as log:
        words = command(name, base, adapters, port, server.token, r)
        with subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                _wait(server, process, log)
                yield server
            finally:
                process.terminate()


def _wait(server: GpuServer, process: subprocess.Popen[bytes], log: Any) -> None:
    """Wait until the server answers /health. Raises ModelError with its last words where it ends, or PATIENCE does."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            server.ask("/health")
            return
        except OSError:  # it does not listen yet
            time.sleep(0.5)
    log.seek(0)
    last = (log.read().strip().splitlines() or ["it said nothing"])[-1]
    raise ModelError(f"{server.name} did not start ({last[:200]}): run its command by hand to see why.")


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
