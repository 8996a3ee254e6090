"""A GGUF file: its types, tensors planned before any is read, written one by one;
and files that appear together or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
from torch import Tensor

from lora_lessons.errors import first_line
from lora_lessons.files import check_readable, refuse_existing, whole_file, write_text
from lora_lessons.leftovers import leftovers, remove_leftovers, temporary_prefix
from lora_lessons.models.gguf_header import read_header

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
        read_header(file)
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


def describe(writer: gguf.GGUFWriter, **said: Any) -> None:
    """Write what a file says of itself, each thing by the name that GGUFWriter has behind its add_."""
    for name, value in said.items():
        getattr(writer, f"add_{name}")(value)


@contextmanager
def new_file(out: Path | str, architecture: str, plans: list[TensorPlan], overwrite: bool) -> Iterator[gguf.GGUFWriter]:
    """A writer for the metadata; when the block ends, the tensors follow one by one, and the file takes its name."""
    from tqdm.auto import tqdm

    out, total = Path(out), sum(plan.bytes for plan in plans)
    refuse_existing(out, overwrite, "name")
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


STAGING = "export"
MADE_FROM, MOVING = "made_from.json", "moving.json"


@contextmanager
def all_or_none(out: Path, names: Sequence[str], made_from: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder for the files `names`; when the block ends without an error, they move to the folder `out`.

    What an export that was killed had finished of the same things (`made_from`, in JSON's types) lies in it already;
    other leftovers in `out` are removed, and said.
    """
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    staging = _begun(out, made_from)
    try:
        remove_leftovers(out)
        write_text(staging / MADE_FROM, json.dumps(made_from))
        yield staging
        write_text(staging / MOVING, json.dumps(list(names)))
        _move(staging, names, out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        if new:
            with suppress(OSError):  # not empty: another program's
                out.rmdir()
        raise


def finish_moving(out: Path, names: Sequence[str], made_from: Mapping[str, Any]) -> bool:
    """End what exports that were killed while their files moved to `out` had begun; whether all of `names` came so."""
    came = False
    for staging in leftovers(out, STAGING) if out.is_dir() else ():
        moving = _read(staging / MOVING)
        if isinstance(moving, list):
            of_these = _read(staging / MADE_FROM) == made_from
            _move(staging, moving, out)
            print(f"Moved the last files of an export that was killed to {out}.", file=sys.stderr)
            came |= of_these and set(names) <= set(moving)
    return came and all((out / name).is_file() for name in names)


def _begun(out: Path, made_from: Mapping[str, Any]) -> Path:
    """A new folder in `out`, or that of a killed export of the same things, taken over with what is whole in it."""
    staging = Path(tempfile.mkdtemp(dir=out, prefix=temporary_prefix(STAGING)))
    for earlier in leftovers(out, STAGING):
        if _read(earlier / MADE_FROM) != made_from:
            continue
        staging.rmdir()
        try:
            os.rename(earlier, staging)
        except OSError:  # another process has just taken it over
            staging.mkdir(mode=0o700)
            continue
        remove_leftovers(staging)  # what it had begun and not finished
        finished = [file.name for file in staging.glob("*.gguf")]
        print(f"Going on with an export that was killed: {len(finished)} files were finished.", file=sys.stderr)
        break
    return staging


def _move(staging: Path, names: Sequence[str], out: Path) -> None:
    for name in names:
        if (staging / name).exists():
            os.replace(staging / name, out / name)
    shutil.rmtree(staging)


def _read(file: Path) -> Any:
    """What a JSON file says; None where there is none, or half of one."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
