"""The process that llama.cpp runs in: `python -m lora_lessons.llamacpp.worker`, one job as a line of JSON on stdin."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from .model import Model, quantize


def main() -> int:
    """Do the job on stdin; llama.cpp's chatter goes to stderr, the answer alone to stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    try:
        if job["job"] == "serve":
            serve(job, answers)
        elif job["job"] == "logits":
            np.save(job["out"], logits(job))
        else:
            matters = dict(np.load(job["importance"])) if "importance" in job else None
            quantize(job["source"], job["out"], job["type"], job["threads"], matters)
    except (RuntimeError, ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def serve(job: dict[str, Any], answers: Any) -> None:
    """llama-server until stdin closes, which it does when the process that asked for it ends, however it ends."""
    import xllamacpp as x

    params = x.CommonParams()
    params.model.path = job["base"]
    # port 0: any that is free
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [job["token"]]
    params.lora_adapters = [x.CommonAdapterLoraInfo(path, 0.0) for path in job["adapters"]]
    params.n_ctx, params.n_parallel = job["context"] * job["parallel"], job["parallel"]
    params.warmup, params.fit_params, params.endpoint_metrics = False, False, True
    params.use_jinja, params.ui, params.cache_ram_mib = True, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    if job["exact"]:
        params.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
    server = x.Server(params)
    print(server.listening_address, file=answers, flush=True)
    sys.stdin.read()
    os._exit(0)


def logits(job: dict[str, Any]) -> np.ndarray:
    """The exact logits after each of the job's prompts, or after every token of theirs."""
    longest = max(map(len, job["prompts"]))
    model = Model(job["base"], longest, job["threads"], exact=True, adapters=job["adapters"])
    if job["every"]:
        return np.stack([model.read_all(prompt) for prompt in job["prompts"]])
    rows = []
    for prompt in job["prompts"]:
        model.forget()
        rows.append(model.read(prompt))
    return np.stack(rows)


if __name__ == "__main__":
    sys.exit(main())
