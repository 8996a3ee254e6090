"""The safetensors of a model's folder: which files hold it, which tensor lies where, and one tensor at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError

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
        try:
            names = sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{folder / INDEX} cannot be read ({error}): fetch the folder again.") from error
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


def tensors_in(files: list[Path]) -> dict[str, Path]:
    """Which file holds which tensor. Raises ModelError for a file that is cut short or no safetensors."""
    from safetensors import SafetensorError, safe_open

    where: dict[str, Path] = {}
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                where |= dict.fromkeys(file.keys(), path)
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{path} cannot be read ({error}): is the download complete? Fetch that file again."
            ) from error
    return where


def read_tensor(where: dict[str, Path], name: str) -> Tensor:
    """One tensor, as a view of its mapped file; the file is unmapped when the tensor is let go.

    Opened anew for each: an open file keeps all that was read of it in this process's memory.
    """
    from safetensors import safe_open

    with safe_open(where[name], "pt") as file:
        return file.get_tensor(name)


def is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says: one that is cut short is not. Reads the header alone."""
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            # No real header comes near this; a damaged length must not be read into memory.
            header = json.loads(opened.read(min(length, 100_000_000)))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        return file.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False
