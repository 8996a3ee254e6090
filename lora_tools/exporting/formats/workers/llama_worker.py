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
from distance import divergence

from lora_lessons.llamacpp.model import Model


def perplexity(model: Model, windows: list[list[int]]) -> float:
    """exp(mean cross-entropy a token), each window read on its own."""
    total = 0.0
    for window in windows:
        rows = model.read_all(window[:-1])
        rows -= rows.max(1, keepdims=True)
        taught = rows[np.arange(len(rows)), window[1:]]
        total += float((np.log(np.exp(rows, out=rows).sum(1, dtype=np.float64)) - taught).sum())
    return math.exp(total / sum(len(window) - 1 for window in windows))


def tokens_per_second(model: Model, prompt: list[int], new_tokens: int) -> float:
    """New tokens a second of greedy generation after `prompt`, the prompt's own pass included; never stops early."""
    model.forget()
    begun, tokens = time.perf_counter(), prompt
    for _ in range(new_tokens):
        tokens = [int(model.read(tokens).argmax())]
    return new_tokens / (time.perf_counter() - begun)


def answers(job: dict[str, Any]) -> dict[str, Any]:
    """Greedy answers and the distance from the reference, as measuring.answers has them; exact,
    so that only weights differ."""
    longest = max([*map(len, job["chats"]), max(map(len, job["prompts"])) + job["new_tokens"]])
    model = Model(job["target"], longest, job["threads"], exact=True)
    replies: list[list[int]] = []
    for prompt in job["prompts"]:
        model.forget()
        new = [int(model.read(prompt).argmax())]
        while new[-1] != job["end"] and len(new) < job["new_tokens"]:
            new.append(int(model.read(new[-1:]).argmax()))
        replies.append(new)
    rows = (model.read_all(chat)[places] for chat, places in zip(job["chats"], job["taught"], strict=True))
    return {"said": replies, "kl": divergence(rows, job["reference"])}


def main() -> None:
    """Measure job["target"] beside job["source"], the merged model's F16 GGUF, turn and turn about;
    or let it answer."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job: dict[str, Any] = json.load(file)
    answer = answers(job) if job["do"] == "answer" else measured(job)
    with open(job["answer"] + ".new", "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(job["answer"] + ".new", job["answer"])


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """Perplexity and speed of the target and of the source."""
    longest = max([*map(len, job["windows"]), len(job["prompt"]) + job["new_tokens"]])
    mine, its = (Model(job[which], longest, job["threads"], exact=False) for which in ("target", "source"))
    answer = {
        "perplexity": perplexity(mine, job["windows"]),
        "reference_perplexity": perplexity(its, job["windows"]),
    }
    speeds = [[tokens_per_second(one, job["prompt"], job["new_tokens"]) for one in (mine, its)] for _ in range(3)]
    medians = [statistics.median(column) for column in zip(*speeds, strict=True)]
    return answer | dict(zip(("tokens_per_second", "reference_tokens_per_second"), medians, strict=True))


if __name__ == "__main__":
    main()
