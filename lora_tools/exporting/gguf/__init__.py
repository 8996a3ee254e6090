"""Adapter and base as GGUF, the one file that llama.cpp and Ollama load.

Three things change on the way: the names (model.layers.0.self_attn.q_proj → blk.0.attn_q), the order of the rows of
q and k in Llama's family (see `permuted`), and √r of rsLoRA, which llama.cpp does not know and alpha takes in.
"""

from .file import FILE_TYPES, read
from .model import check_fit, checked_base, quantize, why_not_written, write_adapter, write_base, write_merged
from .names import EXPORTED, gguf_alpha, importance, permuted, why_not_exported
from .source import SourceModel, adapter_and_base, named_base, open_base, place_of
from .together import export

__all__ = [
    "EXPORTED",
    "FILE_TYPES",
    "SourceModel",
    "adapter_and_base",
    "check_fit",
    "checked_base",
    "export",
    "gguf_alpha",
    "importance",
    "named_base",
    "open_base",
    "permuted",
    "place_of",
    "quantize",
    "read",
    "why_not_exported",
    "why_not_written",
    "write_adapter",
    "write_base",
    "write_merged",
]
