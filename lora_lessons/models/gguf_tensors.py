"""A GGUF's tensors by transformers' names, each read and dequantized piece by piece when its turn comes.

blocks in the file ──readinto──→ a buffer ──gguf's dequantize──→ a piece in fp32 ──→ the tensor in its own type

The file is never mapped: what was read through a map counts as this process's memory. Most of its numbers were rounded
once, by Q4_K or the like, before anything here rounds them again.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError
from .gguf_header import Header, Listed
from .weights import Source

# Architectures in llama.cpp's words, and whether the rows of q and k have another order there. Mistral is a llama.
READ = {"llama": True, "qwen2": False, "qwen3": False}
# Numbers dequantized at a time: in fp32, with what the library needs beside them, some 100 MB.
PIECE = 1 << 22


def check(file: Path, header: Header) -> None:
    """Raise ModelError unless every tensor of `file` can be read, to its end."""
    if header.swapped:
        raise ModelError(
            f"{file.name} was written for machines of the other byte order: fetch the one for little-endian machines."
        )
    length = file.stat().st_size
    for name, listed in header.tensors.items():
        if not _is_unpacked(listed.type):
            kind = next((one.name for one in gguf.GGMLQuantizationType if one == listed.type), f"number {listed.type}")
            raise ModelError(
                f"{name} in {file.name} is of the type {kind}, which the gguf library does not unpack: give a GGUF of "
                "another type (Q4_K_M, Q8_0, F16 …), or the folder that it was made from."
            )
        block, _ = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(listed.type)]
        if not listed.sizes or min(listed.sizes) < 1 or listed.sizes[0] % block:
            raise ModelError(
                f"{name} in {file.name} has the sizes {listed.sizes}: the file is damaged; fetch it again."
            )
        if listed.offset + _row_bytes(listed) * math.prod(listed.sizes[1:]) > length:
            raise ModelError(f"{file.name} ends before its tensors do: is the download complete? Fetch it again.")


def source(file: Path, header: Header, model: Any) -> Source:
    """Where the weights of `model` (of an architecture in READ, its shapes alone) are read from.

    Raises ModelError where the file lacks one of them, or holds what `model` has no place for.
    """
    architecture, config = header.fields["general.architecture"], model.config
    names = {name: gguf_name(name, architecture, config.num_hidden_layers) for name in model.state_dict()}
    by_name = {name: header.tensors[there] for name, there in names.items() if there in header.tensors}
    if missing := [names[name] or name for name, _ in model.named_parameters() if name not in by_name]:
        raise ModelError(
            f"{file.name} holds no {missing[0]}, and {type(model).__name__} needs it ({len(missing)} weights are "
            "missing): fetch it again, or give another base."
        )
    if strange := sorted(header.tensors.keys() - set(names.values()) - {ROTARY}):
        raise ModelError(
            f"{file.name} holds {strange[0]}, which {type(model).__name__} has no place for, so that its answers would "
            "be wrong: give the folder with config.json and safetensors that it was made from."
        )
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads} if READ[architecture] else {}

    def read(name: str) -> TensorInGguf:
        return TensorInGguf(file, by_name[name], heads.get(name.split(".")[-2]))

    return Source(file.name, dict.fromkeys(by_name, file), read)


ROTARY = "rope_freqs.weight"


def rotary_factors(file: Path, header: Header) -> Tensor | None:
    """Llama 3's stretched rotary frequencies, as the divisor of each; None where the file has none."""
    if ROTARY not in header.tensors:
        return None
    return TensorInGguf(file, header.tensors[ROTARY]).to("cpu", torch.float32)


class TensorInGguf(NamedTuple):
    """One tensor in a GGUF, which becomes one of PyTorch's when it is moved `to` a device and a type."""

    file: Path
    listed: Listed
    # Where its rows have llama.cpp's order, how many heads they make up.
    heads: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes in PyTorch's order."""
        return self.listed.sizes[::-1]

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest of PyTorch's types that holds its numbers, or rounds them far less than the file's own did."""
        exact = {"F32": torch.float32, "BF16": torch.bfloat16}
        return exact.get(gguf.GGMLQuantizationType(self.listed.type).name, torch.float16)

    def to(self, device: str, dtype: torch.dtype, copy: bool = True) -> Tensor:
        """Its numbers, row after row."""
        kind, width = gguf.GGMLQuantizationType(self.listed.type), self.shape[-1]
        out = torch.empty(self.shape, dtype=dtype, device=device)
        with open(self.file, "rb") as opened:
            opened.seek(self.listed.offset)
            for rows in out.view(-1, width).split(max(1, PIECE // width)):
                blocks = np.empty((len(rows), _row_bytes(self.listed)), np.uint8)
                if opened.readinto(blocks.data) < blocks.nbytes:
                    raise EOFError(f"{self.file.name} has become shorter")
                with np.errstate(all="ignore"):  # what is not finite is found where it is named
                    rows.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, kind)))
        return out if self.heads is None else unpermuted(out, self.heads)


def unpermuted(rows: Tensor, heads: int) -> Tensor:
    """The rows of q or k in Hugging Face's order, from llama.cpp's:
    within each head 0 4 1 5 2 6 3 7 becomes 0 1 2 3 | 4 5 6 7."""
    return rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2).contiguous()


def gguf_name(name: str, architecture: str, blocks: int) -> str | None:
    """model.layers.0.self_attn.q_proj.weight → blk.0.attn_q.weight; None for a tensor that llama.cpp has not."""
    there: str | None = _names(architecture, blocks).get_name(name, try_suffixes=(".weight", ".bias"))
    return there


@cache
def _names(architecture: str, blocks: int) -> gguf.TensorNameMap:
    return gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], blocks)


def _row_bytes(listed: Listed) -> int:
    block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(listed.type)]
    return listed.sizes[0] // block * size


@cache
def _is_unpacked(kind: int) -> bool:
    """Whether the gguf library dequantizes this type."""
    try:
        of = gguf.GGMLQuantizationType(kind)
        gguf.quants.dequantize(np.zeros((1, gguf.GGML_QUANT_SIZES[of][1]), np.uint8), of)
    except (ValueError, NotImplementedError):
        return False
    return True
