"""The one wrapper of llama.cpp's C interface: a GGUF, its adapters, the logits after tokens, and a coarser GGUF.

It runs in the process of a worker and imports nothing of the course.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np


@cache
def c_interface() -> tuple[Any, Any]:
    """cffi's view of llama.cpp, and the library itself, made ready."""
    from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib

    lib = get_lib()
    lib.llama_backend_init()
    return get_ffi(), lib


class Model:
    """A GGUF in llama.cpp, with a context of at most `longest` tokens.

    `exact`: flash attention off, keys and values in fp32; otherwise llama.cpp's own defaults, as people run it.
    `adapters` maps adapter GGUFs to their scales. Raises RuntimeError when a file is not loaded.
    """

    def __init__(
        self, path: str, longest: int, threads: int, *, exact: bool, adapters: Mapping[str, float] | None = None
    ) -> None:
        self.ffi, self.lib = ffi, lib = c_interface()
        self.model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not self.model:
            raise RuntimeError(f"{path} was not loaded")
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = longest
        params.n_threads = params.n_threads_batch = threads
        if exact:
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
            params.type_k = params.type_v = lib.GGML_TYPE_F32
        self.context = lib.llama_init_from_model(self.model, params)
        self.size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))
        loaded = [lib.llama_adapter_lora_init(self.model, file.encode()) for file in adapters or {}]
        if not all(loaded):
            raise RuntimeError("an adapter was not loaded")
        pointers = ffi.new("struct llama_adapter_lora *[]", loaded)
        scales = ffi.new("float[]", list((adapters or {}).values()))
        if lib.llama_set_adapters_lora(self.context, pointers, len(loaded), scales):
            raise RuntimeError("the adapters were not set")

    def forget(self) -> None:
        """Empty the cache of keys and values: what follows is read from the beginning."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def read(self, ids: Sequence[int]) -> np.ndarray:
        """Read `ids` after what was read before; the logits after the last of them: (vocabulary,), fp32."""
        tokens = self.ffi.new("llama_token[]", list(ids))
        if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(tokens, len(ids))):
            raise RuntimeError(f"{len(ids)} tokens were not decoded")
        return self._floats(self.lib.llama_get_logits_ith(self.context, -1), self.size)

    def read_all(self, ids: Sequence[int]) -> np.ndarray:
        """The logits after every one of `ids`, read from the beginning: (tokens, vocabulary), fp32."""
        self.forget()
        batch = self.lib.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
        failed = self.lib.llama_decode(self.context, batch)
        self.lib.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"{len(ids)} tokens were not decoded")
        rows = self._floats(self.lib.llama_get_logits(self.context), self.size * len(ids))
        return rows.reshape(len(ids), self.size)

    def _floats(self, pointer: Any, count: int) -> np.ndarray:
        """A copy: the next call of llama.cpp writes over its own."""
        return np.frombuffer(self.ffi.buffer(pointer, 4 * count), dtype=np.float32).copy()


def quantize(
    source: str, out: str, file_type: str, threads: int, importance: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write the GGUF `source` to `out` in llama.cpp's type `file_type`. Raises ValueError or RuntimeError.

    `importance` is an importance matrix: of each named tensor, how much each of its inputs matters (fp32).
    """
    ffi, lib = c_interface()
    params = lib.llama_model_quantize_default_params()
    params.nthread = threads
    kind = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{file_type.upper()}", None)
    if kind is None:
        raise ValueError(f"llama.cpp has no type {file_type}; usual ones: Q4_K_M, Q5_K_M, Q6_K, Q8_0, Q4_0")
    params.ftype = kind
    matters = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in (importance or {}).items()}
    names = [ffi.new("char[]", name.encode()) for name in matters]
    # one entry a tensor; llama.cpp stops at the first without a name
    entries = ffi.new("struct llama_model_imatrix_data[]", len(matters) + 1)
    for entry, name, values in zip(entries, names, matters.values(), strict=False):
        entry.name, entry.data, entry.size = name, ffi.from_buffer("float[]", values), len(values)
    if matters:
        params.imatrix = entries
    if lib.llama_model_quantize(source.encode(), out.encode(), ffi.addressof(params)):
        raise RuntimeError("the model was not quantized")
