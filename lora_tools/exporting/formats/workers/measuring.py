"""What the workers share: the job they are handed, perplexity, speed, and the answer they leave.

python gptq_worker.py JOB.json, where the job says: do (quantize, measure or answer), source (the merged 16-bit model),
target, dtype, calibration (rows of token ids), windows (rows of token ids), prompt, new_tokens, group_size, answer (a
file). To answer: prompts (rows of token ids), end (a token), chats (rows of token ids), taught (of each chat, the
places whose next token is compared), reference (a .npy of log-probabilities, one row a compared token).
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from distance import divergence
from torch.nn.functional import cross_entropy

Job = dict[str, Any]


def say(line: str) -> None:
    """A line of progress for the learner."""
    print(f"progress: {line}", flush=True)


def main(quantize: Callable[[Job], Job], load: Callable[[Job], tuple[Any, str]]) -> None:
    """Do the job named on the command line. `load` returns the model and its loader in words."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    torch.manual_seed(0)
    begun = time.perf_counter()
    if job["do"] == "quantize":
        answer = quantize(job)
        answer["quantize_seconds"] = round(time.perf_counter() - begun, 1)
    else:
        model, loader = load(job)
        answer = (measure if job["do"] == "measure" else answers)(model, job) | {"loader": loader}
    with open(job["answer"] + ".new", "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(job["answer"] + ".new", job["answer"])


def sixteen_bit(job: Job, dtype: torch.dtype | None = None) -> Any:
    """The merged model by transformers, computing in the job's dtype unless another is given."""
    from transformers import AutoModelForCausalLM

    dtype = dtype or getattr(torch, job["dtype"])
    model = AutoModelForCausalLM.from_pretrained(
        job["source"], dtype=dtype, use_safetensors=True, trust_remote_code=False
    )
    return model.eval()


def measure(model: Any, job: Job) -> Job:
    """Perplexity and tokens a second of `model`, and of the merged model in the same process, turn and turn about."""
    plain = sixteen_bit(job)
    say("perplexity")
    measured: Job = {
        "perplexity": perplexity(model, job["windows"]),
        "reference_perplexity": perplexity(plain, job["windows"]),
    }
    say(f"speed, {job['new_tokens']} tokens")
    for one in (model, plain):  # the first answer also builds kernels
        tokens_per_second(one, job["prompt"], 2)
    speeds = [[tokens_per_second(one, job["prompt"], job["new_tokens"]) for one in (model, plain)] for _ in range(3)]
    mine, its = (statistics.median(column) for column in zip(*speeds, strict=True))
    return measured | {"tokens_per_second": mine, "reference_tokens_per_second": its}


@torch.no_grad()
def perplexity(model: Any, windows: list[list[int]]) -> float:
    """exp(mean cross-entropy a token) over windows of token ids: evaluation.perplexity's sum, from ids handed over."""
    total = 0.0
    for window in windows:
        ids = torch.tensor([window])
        logits = model(input_ids=ids[:, :-1]).logits[0].float()
        total += cross_entropy(logits, ids[0, 1:], reduction="sum").item()
    return math.exp(total / sum(len(window) - 1 for window in windows))


@torch.no_grad()
def tokens_per_second(model: Any, prompt: list[int], new_tokens: int) -> float:
    """New tokens a second of greedy generation after `prompt`, the prompt's own pass included; never stops early."""
    ids = torch.tensor([prompt])
    begun = time.perf_counter()
    length = {"min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
    model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0, **length)
    return new_tokens / (time.perf_counter() - begun)


@torch.no_grad()
def answers(model: Any, job: Job) -> Job:
    """The greedy answers to the job's prompts (token ids), and how far the model is from the reference (KL, nats)."""
    longest, end = max(map(len, job["prompts"])), job["end"]
    padded = torch.tensor([[end] * (longest - len(ids)) + ids for ids in job["prompts"]])
    say(f"{len(padded)} answers")
    out = model.generate(
        input_ids=padded,
        attention_mask=torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in job["prompts"]]),
        max_new_tokens=job["new_tokens"],
        do_sample=False,
        pad_token_id=end,
    )
    say("distance from the unmerged model")
    rows = (
        model(input_ids=torch.tensor([chat])).logits[0, places].float().numpy()
        for chat, places in zip(job["chats"], job["taught"], strict=True)
    )
    return {"said": out[:, longest:].tolist(), "kl": divergence(rows, job["reference"])}


def linears(model: Any) -> list[tuple[str, torch.nn.Linear]]:
    """The Linear layers but the output head, by name."""
    head = model.get_output_embeddings()
    return [(name, m) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head]
