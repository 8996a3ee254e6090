"""The process that llama.cpp runs in: `python -m lora_lessons.export.worker`, one job as a line of JSON on stdin."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np


def main() -> int:
    """Do the job on stdin; llama.cpp's chatter goes to stderr, the answer alone to stdout."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    try:
        if job["job"] == "serve":
            _serve(job, answers)
        elif job["job"] == "logits":
            np.save(job["out"], _Model(job).logits(job["prompts"]))
        else:
            _quantize(job)
    except (RuntimeError, ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def _serve(job: dict[str, Any], answers: Any) -> None:
    """llama-server until stdin closes, which it does when the process that asked for it ends, however it ends."""
    import xllamacpp as x

    params = x.CommonParams()
    params.model.path = job["base"]
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [job["token"]]  # port 0: any that is free
    params.lora_adapters = [x.CommonAdapterLoraInfo(path, 0.0) for path in job["adapters"]]
    params.n_ctx, params.n_parallel, params.warmup, params.fit_params = job["context"], 1, False, False
    params.use_jinja, params.ui, params.cache_ram_mib = True, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    if job["exact"]:
        params.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
    server = x.Server(params)
    print(server.listening_address, file=answers, flush=True)
    sys.stdin.read()
    os._exit(0)


class _Model:
    """A model and its adapters in llama.cpp's C interface, set for exactness."""

    def __init__(self, job: dict[str, Any]) -> None:
        from llama_cpp_py_sync._cffi_bindings import ffi, get_lib

        self.ffi, self.lib = ffi, get_lib()
        self.lib.llama_backend_init()
        self.model = self.lib.llama_model_load_from_file(job["base"].encode(), self.lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError("the base was not loaded")
        longest = max(map(len, job["prompts"]))
        params = self.lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = longest
        params.n_threads = params.n_threads_batch = job["threads"]
        params.flash_attn_type = self.lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.type_k = params.type_v = self.lib.GGML_TYPE_F32
        self.context = self.lib.llama_init_from_model(self.model, params)
        adapters = [self.lib.llama_adapter_lora_init(self.model, path.encode()) for path, _ in job["adapters"]]
        if not all(adapters):
            raise RuntimeError("an adapter was not loaded")
        scales = ffi.new("float[]", [scale for _, scale in job["adapters"]])
        if self.lib.llama_set_adapters_lora(
            self.context, ffi.new("struct llama_adapter_lora *[]", adapters), len(adapters), scales
        ):
            raise RuntimeError("the adapters were not set")

    def logits(self, prompts: list[list[int]]) -> np.ndarray:
        size = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))
        rows = []
        for prompt in prompts:
            self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
            tokens = self.ffi.new("llama_token[]", prompt)
            if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(tokens, len(prompt))):
                raise RuntimeError(f"a prompt of {len(prompt)} tokens was not decoded")
            row = self.lib.llama_get_logits_ith(self.context, -1)
            rows.append(np.frombuffer(self.ffi.buffer(row, 4 * size), dtype=np.float32).copy())
        return np.stack(rows)


def _quantize(job: dict[str, Any]) -> None:
    from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib

    ffi, lib = get_ffi(), get_lib()
    params = lib.llama_model_quantize_default_params()
    params.nthread = job["threads"]
    kind = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{job['type'].upper()}", None)
    if kind is None:
        raise ValueError(f"llama.cpp has no type {job['type']}; usual ones: Q4_K_M, Q5_K_M, Q6_K, Q8_0, Q4_0")
    params.ftype = kind
    if lib.llama_model_quantize(job["source"].encode(), job["out"].encode(), ffi.addressof(params)):
        raise RuntimeError("the model was not quantized")


if __name__ == "__main__":
    sys.exit(main())
