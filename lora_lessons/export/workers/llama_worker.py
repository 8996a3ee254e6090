"""A GGUF in llama.cpp, as people run it: perplexity over the same windows of token ids, and tokens a second.

It runs in the course's own environment, in a process of its own: a failed assertion in llama.cpp ends its process.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from typing import Any

import numpy as np
from llama_cpp_py_sync._cffi_bindings import ffi, get_lib

lib = get_lib()


class Model:
    """A GGUF and a context for it, with llama.cpp's own defaults but for the threads."""

    def __init__(self, path: str, longest: int, threads: int) -> None:
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"llama.cpp did not load {path}")
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = longest
        params.n_threads = params.n_threads_batch = threads
        self.context = lib.llama_init_from_model(self.model, params)
        self.size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))

    def logits(self, ids: list[int]) -> np.ndarray:
        """Logits after every one of `ids`, read from the beginning: (tokens, vocabulary)."""
        self.forget()
        batch = lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
        failed = lib.llama_decode(self.context, batch)
        lib.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama.cpp did not read a window of {len(ids)} tokens")
        buffer = ffi.buffer(lib.llama_get_logits(self.context), 4 * self.size * len(ids))
        return np.frombuffer(buffer, dtype=np.float32).reshape(len(ids), self.size).copy()

    def greedy(self, prompt: list[int], new_tokens: int) -> float:
        """New tokens a second of greedy generation after `prompt`, the prompt's own pass included; never stops early."""
        self.forget()
        begun, said = time.perf_counter(), prompt
        for _ in range(new_tokens):
            tokens = ffi.new("llama_token[]", said)
            if lib.llama_decode(self.context, lib.llama_batch_get_one(tokens, len(said))):
                raise RuntimeError("llama.cpp did not generate")
            row = ffi.buffer(lib.llama_get_logits_ith(self.context, -1), 4 * self.size)
            said = [int(np.frombuffer(row, dtype=np.float32).argmax())]
        return new_tokens / (time.perf_counter() - begun)

    def forget(self) -> None:
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)


def perplexity(model: Model, windows: list[list[int]]) -> float:
    """exp(mean cross-entropy a token), each window read on its own."""
    total = 0.0
    for window in windows:
        rows = model.logits(window[:-1])
        rows -= rows.max(1, keepdims=True)
        taught = rows[np.arange(len(rows)), window[1:]]
        total += float((np.log(np.exp(rows, out=rows).sum(1, dtype=np.float64)) - taught).sum())
    return math.exp(total / sum(len(window) - 1 for window in windows))


def main() -> None:
    """Measure job["target"] beside job["source"], the merged model's F16 GGUF, turn and turn about."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job: dict[str, Any] = json.load(file)
    lib.llama_backend_init()
    longest = max([*map(len, job["windows"]), len(job["prompt"]) + job["new_tokens"]])
    models = [Model(job[which], longest, job["threads"]) for which in ("target", "source")]
    answer = dict(
        zip(("perplexity", "reference_perplexity"), (perplexity(one, job["windows"]) for one in models), strict=True)
    )
    speeds = [[one.greedy(job["prompt"], job["new_tokens"]) for one in models] for _ in range(3)]
    mine, its = (statistics.median(column) for column in zip(*speeds, strict=True))
    answer |= {"tokens_per_second": mine, "reference_tokens_per_second": its}
    with open(job["answer"] + ".new", "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(job["answer"] + ".new", job["answer"])


if __name__ == "__main__":
    main()
