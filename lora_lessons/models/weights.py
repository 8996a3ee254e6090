"""A model's weights on disk and in memory: which file holds them, whether they are equal bit for bit, and finite."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError, first_line
from ..files import check_readable

if TYPE_CHECKING:
    from torch import Tensor, nn


class Source(NamedTuple):
    """Where the weights of a model are read from, one at a time."""

    # What to call it: a folder's name, or a GGUF's.
    name: str
    # The file that holds each, by transformers' names.
    where: Mapping[str, Path]
    # One of them: a tensor, or what has its `shape` and `dtype` and becomes one by `to(device, dtype)`.
    read: Callable[[str], Any]


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
            f"{folder} lacks {len(missing)} of its {len(names)} weight files ({missing[0]}): the download is not "
            "complete; fetch it again."
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
    """Which file holds which tensor. Raises ModelError for a file that is cut short or no safetensors, or complex."""
    return {name: path for name, (path, _) in shapes_in(files).items()}


def shapes_in(files: list[Path]) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """The file and the shape of each tensor. Raises ModelError for a file that is cut short or no safetensors,
    or complex."""
    tensors: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for path in files:
        check_readable(path)
        with opened(path) as file:
            slices = {name: file.get_slice(name) for name in list(file.keys())}
            if strange := next((name for name, one in slices.items() if one.get_dtype() == "C64"), None):
                raise ModelError(
                    f"{strange} in {path} holds complex numbers, and no base here has such: give another base."
                )
            tensors |= {name: (path, tuple(one.get_shape())) for name, one in slices.items()}
    return tensors


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
    """Whether a safetensors file is as long as its header says: one that is cut short is not.
    Reads the header alone."""
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            # No real header comes near this; a damaged length must not be read into memory.
            header = json.loads(opened.read(min(length, 100_000_000)))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
        return file.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return False


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over every frozen parameter's name and bytes: equal digests mean equal weights, bit for bit."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.replace(".base_layer", "").encode())
            for data in parameter_bytes(parameter):
                digest.update(data)
    return digest.hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor], *said: str) -> str:
    """SHA-256 over what is `said` of some tensors, and over each one's name, type, shape and bytes, sorted by name."""
    digest = hashlib.sha256(repr(said).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def parameter_bytes(parameter: nn.Parameter) -> Iterator[Any]:
    """The bytes that a parameter's numbers depend on, as buffers: for a 4-bit one also its codebook, absmax and offset.

    Two 4-bit weights of equal codes and different absmax are different weights.
    """
    state: Any = getattr(parameter, "quant_state", None)
    tensors: list[Tensor] = [parameter, *(state.as_dict(packed=True).values() if state else ())]
    yield from map(_bytes, tensors)


def _bytes(tensor: Tensor) -> Any:
    """A tensor's bytes as a buffer: not copied where it lies on the processor in one piece."""
    import torch

    flat = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data


def check_finite(model: Any, numbers: Tensor, what: str) -> None:
    """Raise ModelError when `numbers`, which `model` has worked out, hold NaN or infinity;
    it names the weight to blame.

    The weights are looked through only then: a base that is sound loads and answers as fast as without.
    """
    if numbers.isfinite().all():
        return
    if name := not_finite(model.named_parameters()):
        raise ModelError(
            f"{what} became NaN or infinity, because {name} holds such numbers: fetch the base again, or train the "
            "adapter again with a lower learning rate."
        )
    raise ModelError(
        f"{what} became NaN or infinity, though all weights are finite: they are too large for {model.dtype} to "
        "multiply. Load the base in fp32, or train the adapter again with a lower learning rate."
    )


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The name of the first of `tensors` that holds NaN or infinity; "" where none does."""
    return next((name for name, one in tensors if one.is_floating_point() and not one.isfinite().all()), "")
