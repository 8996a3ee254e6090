"""A GGUF file: its types, tensors planned before any is read, written one by one and whole or not at all; and read."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
from torch import Tensor

from ...errors import first_line
from ...files import check_readable, whole_file
from ...models.gguf_header import check_header

FILE_TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}  # others are llama.cpp's own: see quantize


class TensorPlan(NamedTuple):
    """One tensor to write: its name and shape in the GGUF, its type there, and how to read it."""

    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    read: Callable[[], Tensor]

    @property
    def bytes(self) -> int:
        """What it takes in the file."""
        block, size = gguf.GGML_QUANT_SIZES[self.type]
        return math.prod(self.shape) // block * size


def read(file: Path | str) -> gguf.GGUFReader:
    """A GGUF's fields and tensors, mapped from disk. Raises ValueError when `file` is none, or is damaged."""
    check_readable(file)
    try:
        check_header(file)
        return gguf.GGUFReader(file)
    except (OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, MemoryError) as error:
        raise ValueError(f"{file} is no whole GGUF ({first_line(error)}): fetch it again, or write it anew.") from error


def tensor_type(file_type: str) -> gguf.GGMLQuantizationType:
    """The type of the matrices in a file of `file_type`. Raises ValueError for one that is not of FILE_TYPES."""
    if file_type.lower() not in FILE_TYPES:
        raise ValueError(f"{file_type!r} is not written here: choose {', '.join(FILE_TYPES)}, or call quantize for it.")
    return gguf.GGMLQuantizationType[FILE_TYPES[file_type.lower()]]


def check_type(file_type: str) -> None:
    """Raise ValueError unless llama.cpp has a type of that name."""
    if f"MOSTLY_{file_type.upper()}" not in gguf.LlamaFileType.__members__ and file_type.lower() not in FILE_TYPES:
        raise ValueError(
            f"{file_type!r} is no type of GGUF: choose {', '.join(FILE_TYPES)}, or Q4_K_M, Q5_K_M, Q6_K, Q4_0 …"
        )


def check_room(out: Path, size: int) -> None:
    """Raise OSError unless `size` bytes are free where `out` is going to be."""
    place = next(folder for folder in out.absolute().parents if folder.exists())
    if (free := shutil.disk_usage(place).free) < size * 1.02:
        raise OSError(f"{out.name} takes {size / 1e9:.2f} GB and {free / 1e9:.2f} GB is free in {place}: make room.")


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raise FileExistsError when there is a file and it may not be replaced."""
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists: choose another name, or pass overwrite=True to replace it.")


@contextmanager
def new_file(out: Path | str, architecture: str, plans: list[TensorPlan], overwrite: bool) -> Iterator[gguf.GGUFWriter]:
    """A writer for the metadata; when the block ends, the tensors follow one by one, and the file takes its name."""
    from tqdm.auto import tqdm

    out, total = Path(out), sum(plan.bytes for plan in plans)
    refuse_existing(out, overwrite)
    check_room(out, total)
    with whole_file(out) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture)
        try:
            yield writer
            for plan in plans:
                writer.add_tensor_info(plan.name, plan.shape, np.dtype(np.float32), plan.bytes, plan.type)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            with tqdm(total=total, unit="B", unit_scale=True, leave=False, disable=total < 1e9) as bar:
                bar.set_description(out.name)  # given as desc, a notebook would take it for HTML
                for plan in plans:
                    writer.write_tensor_data(gguf.quants.quantize(plan.read().numpy(), plan.type))
                    bar.update(plan.bytes)
        finally:
            writer.close()
