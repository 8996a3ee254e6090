"""llama.cpp's server on this machine alone: adapters swapped and scaled from one answer to the next."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .compute import check_files, failure, start

if TYPE_CHECKING:  # the worker imports this package too, and starts much sooner without torch
    from torch import Tensor

TIMEOUT = 600  # seconds that an answer may take


class Server:
    """llama.cpp's server with one base and the adapters it was started with; it answers only who knows `token`."""

    def __init__(self, url: str, token: str, names: Sequence[str]) -> None:
        self.url, self.token, self.names = url, token, list(names)

    def chat(
        self, prompt: str, scales: Mapping[str, float] | None = None, max_tokens: int = 60, system: str | None = None
    ) -> str:
        """The greedy answer to one user message, rendered by the GGUF's own chat template.

        `scales` holds for this answer alone; an adapter that it does not name has scale 0.
        """
        messages = [{"role": "system", "content": system}] * (system is not None) + [
            {"role": "user", "content": prompt}
        ]
        reply = self.ask("/v1/chat/completions", {"messages": messages, "max_tokens": max_tokens} | self._how(scales))
        return str(reply["choices"][0]["message"]["content"]).strip()

    def next_logprobs(self, prompt: str | Sequence[int], scales: Mapping[str, float] | None = None) -> Tensor:
        """Log-probabilities of every token after `prompt` (text as it stands, or token ids): (vocabulary,), fp32."""
        import torch

        ids = self.tokens(prompt) if isinstance(prompt, str) else list(prompt)
        # drawn whatever is likely: at an end, or half a character, nothing is reported
        letter = self.tokens("a")[-1]
        body = {"prompt": ids, "n_predict": 1, "n_probs": 2**24, "logit_bias": [[letter, 1000.0]]} | self._how(scales)
        top = self.ask("/completion", body)["completion_probabilities"][0]["top_logprobs"]
        out = torch.full((max(entry["id"] for entry in top) + 1,), -torch.inf)
        out[[entry["id"] for entry in top]] = torch.tensor([entry["logprob"] for entry in top])
        return out

    def set_scales(self, scales: Mapping[str, float]) -> dict[str, float]:
        """Scale the adapters from now on, those not named by 0; return the scales in force."""
        self.ask("/lora-adapters", self._scales(scales))
        return self.scales()

    def scales(self) -> dict[str, float]:
        """Each adapter's scale, by name."""
        return {self.names[entry["id"]]: entry["scale"] for entry in self.ask("/lora-adapters")}

    def tokens(self, text: str, *, special: bool = False) -> list[int]:
        """`text` as token ids, special tokens recognised;
        `special` adds the beginning token where the model wants one."""
        return list(self.ask("/tokenize", {"content": text, "add_special": special, "parse_special": True})["tokens"])

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as text, by the GGUF's chat template, ready for an answer."""
        return str(self.ask("/apply-template", {"messages": list(messages)})["prompt"])

    def passes(self) -> int:
        """How often the model has run so far: one pass reads a token or more of every request that is in its batch."""
        counted = re.search(r"^llamacpp:n_decode_total (\d+)", self._answer("/metrics").decode(), re.M)
        assert counted is not None
        return int(counted[1])

    def ask(self, path: str, body: Any = None) -> Any:
        """Any of the server's own addresses: POST `body` as JSON, or GET without one; returns the JSON of the answer.

        Raises ModelError with the server's words when it refuses.
        """
        return json.loads(self._answer(path, body))

    def _answer(self, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        try:
            with _DIRECT.open(urllib.request.Request(self.url + path, data, headers), timeout=TIMEOUT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            raise ModelError(f"llama.cpp refuses {path}: {error.read().decode(errors='replace')[:300]}") from error
        except OSError as error:
            raise ModelError(f"llama.cpp's server does not answer ({error}): was it closed? Start it again.") from error

    def _how(self, scales: Mapping[str, float] | None) -> dict[str, Any]:
        return {"temperature": 0, "cache_prompt": False} | ({} if scales is None else {"lora": self._scales(scales)})

    def _scales(self, scales: Mapping[str, float]) -> list[dict[str, float]]:
        if unknown := scales.keys() - set(self.names):
            raise ValueError(f"no adapter {sorted(unknown)[0]!r} was loaded: {', '.join(self.names) or 'none was'}.")
        return [{"id": i, "scale": float(scales.get(name, 0.0))} for i, name in enumerate(self.names)]


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback goes through no proxy


@contextmanager
def serve(
    base: Path | str,
    adapters: Mapping[str, Path | str] | None = None,
    *,
    exact: bool = False,
    context: int = 2048,
    threads: int | None = None,
    parallel: int = 1,
) -> Iterator[Server]:
    """A server on 127.0.0.1, on a free port and with a token of its own, until the block ends.

    `adapters` are loaded beside the base by name, all of them at scale 0; more cannot be added later. `exact` turns
    flash attention off and keeps keys and values in fp32. It works on `parallel` requests at once, each with a context
    of `context` tokens. Raises ModelError when llama.cpp cannot load a file.
    """
    import torch

    adapters = dict(adapters or {})
    check_files([base, *adapters.values()])
    token = secrets.token_urlsafe(24)
    job = {
        "job": "serve",
        "base": str(base),
        "adapters": [str(path) for path in adapters.values()],
        "token": token,
        "exact": exact,
        "context": context,
        "parallel": parallel,
        "threads": threads or torch.get_num_threads(),
    }
    with tempfile.TemporaryFile() as chatter:
        process = start(job, chatter)
        try:
            assert process.stdout is not None
            if not (url := process.stdout.readline().decode().strip()):
                process.wait()
                raise failure(f"load {Path(base).name}", process.returncode, chatter)
            yield Server(url, token, list(adapters))
        finally:
            process.kill()  # it holds nothing that needs saving
            process.communicate()
