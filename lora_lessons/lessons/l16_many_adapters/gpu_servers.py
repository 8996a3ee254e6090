"""vLLM's and SGLang's servers, where they are installed and a card is there: a batch in which each row names its adapter."""

from __future__ import annotations

import importlib.util
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...errors import ModelError

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
        """What it answers to `body`, in JSON. Raises OSError where it does not."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers), timeout=PATIENCE) as said:
            return bytes(said.read())

    def answers(self, prompts: Sequence[str], wanted: Sequence[str | None], tokens: int = 40) -> list[str]:
        """The greedy text after each prompt, each row through the adapter that it wants; None is the base alone."""
        if self.name == "SGLang":
            how = {"max_new_tokens": tokens, "temperature": 0}
            said = self.ask("/generate", {"text": list(prompts), "sampling_params": how, "lora_path": list(wanted)})
            return [row["text"] for row in json.loads(said)]

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
    """Until it answers that it is well."""
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
