"""A merged adapter in other formats, by the real tools: quantized, loaded back by a real loader, and measured.

adapter ─┐
         ├─ merge in fp32 → bf16 folder ─┬─ GPTQ  llmcompressor ─┐   each tool in its own
16-bit ──┘                               ├─ AWQ   auto-round     ├─→ environment, loaded back in
                                         ├─ HQQ   hqq            │   a new process → size,
                                         └─ GGUF  llama.cpp      ┘   perplexity, tokens/s

The embedded base lies on a Q4_1 grid already; table.BASE_NOTE says what that means for the figures.
"""

from . import environments, table
from .environments import FAILED, FORMATS, LLAMA_CPP, chosen
from .rows import exl2_commands
from .together import export, write_merged

__all__ = [
    "FAILED",
    "FORMATS",
    "LLAMA_CPP",
    "chosen",
    "environments",
    "exl2_commands",
    "export",
    "table",
    "write_merged",
]
