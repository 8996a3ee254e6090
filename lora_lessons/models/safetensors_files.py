"""The safetensors of a model's folder: which files hold it, which tensor lies where, and one tensor at a time."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, first_line
from ..files import check_readable

if TYPE_CHECKING:
    from torch import Tensor

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold `folder`'s model, by its index where it has one.

    A folder may hold others, too (an adapter, a second copy in the maker's own layout). Raises ModelError naming what
    is missing.
    """
    names = [SINGLE]
    if (folder / INDEX).is_file():
        names = files_in(folder / INDEX)
    elif not (folder / SINGLE).is_file():
        others = sorted(p.name for p in folder.glob("*.safetensors") if not p.name.startswith("adapter"))
        if len(others) != 1:
            raise ModelError(f"{folder} has no {SINGLE} and no {INDEX}: fetch the folder again, whole.")
        names = others
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(
            f"{folder} lacks {len(missing)} of its {len(names)} weight files ({missing[0]}): the download is not complete; fetch it again."
        )
    return [folder / name for name in names]


def files_in(index: Path) -> list[str]:
    """The files that an index names. Raises ModelError where it is damaged, or names one outside its own folder."""
    check_readable(index)
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{index} cannot be read ({first_line(error)}): fetch the folder again.") from error
    if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
        raise ModelError(f"{index} names files that are not beside it: fetch the folder again.")
    return names


def tensors_in(files: list[Path]) -> dict[str, Path]:
    """Which file holds which tensor. Raises ModelError for a file that is cut short or no safetensors."""
    return {name: path for name, (path, _) in shapes_in(files).items()}


def shapes_in(files: list[Path]) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """The file and the shape of each tensor. Raises ModelError for a file that is cut short or no safetensors."""
    found: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for path in files:
        check_readable(path)
        with opened(path) as file:
            found |= {name: (path, tuple(file.get_slice(name).get_shape())) for name in list(file.keys())}
    return found


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file, open while the block runs. Raises ModelError for one that is cut short, or gone meanwhile."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({first_line(error)}): is the download complete? Fetch that file again."
        ) from error


def bits_per_number(file: Path) -> int:
    """How many bits a number of the largest tensor in a safetensors file has. Raises ModelError for one cut short."""
    with opened(file) as numbers:
        slices = [numbers.get_slice(name) for name in numbers.keys()]  # noqa: SIM118 (a file is no dict)
        largest = max(slices, key=lambda one: math.prod(one.get_shape()))
        return int(re.sub(r"\D.*", "", largest.get_dtype().lstrip("BFIU")) or 8)


def read_tensor(where: dict[str, Path], name: str) -> Tensor:
    """One tensor, as a view of its mapped file; the file is unmapped when the tensor is let go.

    Opened anew for each: an open file keeps all that was read of it in this process's memory.
    """
    with opened(where[name]) as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


def is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says: one that is cut short is not. Reads the header alone."""
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            # No real header comes near this; a damaged length must not be read into memory.
            header = json.loads(opened.read(min(length, 100_000_000)))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        return file.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False
