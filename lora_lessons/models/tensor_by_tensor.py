"""A base in 4 bits, filled tensor by tensor: a 7B is built where its 16-bit weights (15 GB) would never fit.

meta device (shapes, no memory) → one weight → quantized by bitsandbytes → the next; the 16-bit whole never exists

transformers 5.24 does the same to a 7B in 310 s of one core and up to 17.5 GB resident, 12.7 GB of it the mapped file
(measured on a busy machine); this module takes 259 s and 5.9 GB, and keeps what it made for the next start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ModelError
from ..sums import sha256
from . import filling, four_bit, gguf_config, gguf_tensors
from .configs import read_config
from .filling import keep, kept_files
from .four_bit import BLOCKSIZE, Format
from .gguf_header import Header
from .hub import one_sentence
from .weights import Source, read_tensor, tensors_in, weight_files

# Bytes of 16-bit weights from which the 4-bit ones are kept for the next start.
KEEP_FROM = 2_000_000_000


def load(folder: Path, form: Format, cache: Path | None = None, name: str = "") -> Any:
    """The model of a local `folder` (config.json and *.safetensors) in 4 bits, equal to transformers' bit for bit.

    One tensor is held at a time beside what is built already. A model of more than KEEP_FROM bytes is kept in `cache`
    (a folder of folders; None: not kept) under `name` (default: the folder's path) in transformers' own 4-bit layout,
    and read from there while the files of `folder` keep their names, sizes and times, or on the hub their hashes. A
    folder that holds bitsandbytes 4-bit weights is read as it is.
    Raises ModelError when a file is missing, damaged or of another model, or the disk is short.
    """
    from transformers import AutoConfig

    folder = Path(folder).resolve()
    read_config(folder)
    with one_sentence(folder.name, local=True):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    files, name = weight_files(folder), name or str(folder)
    made_of = [[f.name, f.resolve().name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    size = sum(f.stat().st_size for f in files)
    mark = hashlib.sha256(json.dumps([name, made_of]).encode()).hexdigest()
    given = _given_quantization(config, folder)
    if given and given != form.quant_type:
        raise ModelError(f"{folder.name} holds {given} weights: load it with precision={given!r}.")
    with one_sentence(folder.name, local=True):
        model = filling.empty_model(config, form)
    source = _of_files(files, folder.name)
    if size < KEEP_FROM:
        return filling.finished(_fill(model, source, form), form, None)
    if given or cache is None:
        _fill(model, source, form)
    else:
        _fill_and_keep(model, source, form, cache, name, made_of, size)
    return filling.finished(model, form, f"{mark} {form}")


def load_gguf(file: Path, header: Header, form: Format, cache: Path | None = None) -> Any:
    """The model in a GGUF (of an architecture in `gguf_tensors.READ`), in 32, 16 or 4 bits.

    One tensor is held at a time beside what is built already, and a piece of it in fp32. In 32 bits it equals what
    transformers makes of the file; in 4 it equals that model saved as a folder and loaded in 4 bits, whose weights are
    then rounded twice: by the file's own type, and by NF4. (Where 4 bits are computed with in fp32, embeddings and head
    are held in 16: the file has them in fewer.) 4-bit weights are kept as those of a folder are, while the file is the
    same by its digest. Raises ModelError for a file that is damaged, or holds what the architecture has no place for.
    """
    model, source = open_gguf(file, header, form)
    size = 2 * sum(p.numel() for p in model.parameters())
    if not form.quant_type or size < KEEP_FROM:
        return filling.finished(_fill(model, source, form), form, None)
    digest = sha256(file)
    if cache is None:
        _fill(model, source, form)
    else:
        _fill_and_keep(model, source, form, cache, str(file.resolve()), [digest], size)
    return filling.finished(model, form, f"{digest} {form}")


def open_gguf(file: Path, header: Header, form: Format) -> tuple[Any, Source]:
    """The architecture in a GGUF, where nothing has memory yet, and what its weights are read from;
    errors as `load_gguf`'s."""
    gguf_tensors.check(file, header)
    with one_sentence(file.name, local=True):
        config = gguf_config.config_of(file, header)
        gguf_config.stretch_rotary(config, file, header, gguf_tensors.rotary_factors(file, header))
        model = filling.empty_model(config, form)
        return model, gguf_tensors.source(file, header, model)


def _fill_and_keep(
    model: Any, source: Source, form: Format, cache: Path, name: str, made_of: list[Any], size: int
) -> None:
    """Fill `model` from what is kept in `cache` of what it is `made_of`; else from `source`, and keep it."""
    short, compute = Path(name).name[:40], str(form.compute_dtype).removeprefix("torch.")
    place = cache / f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}-{form.quant_type}-{compute}"
    made_from = {"source": made_of, "form": list(map(str, form[:2])), "blocksize": BLOCKSIZE}
    if kept := kept_files(place, made_from):
        _fill(model, _of_files(kept, f"{source.name}, kept in 4 bits"), form)
    else:
        filled = _filled(model, source._replace(name=f"{place.name}, once"), form)
        keep(filled, model, form, place, made_from, _bytes_in_four_bits(model, size))


def _of_files(files: list[Path], name: str) -> Source:
    """The weights in safetensors files, each read as a view of its file."""
    where = tensors_in(files)
    return Source(name, where, lambda wanted: read_tensor(where, wanted))


def _bytes_in_four_bits(model: Any, size: int) -> int:
    """What a model of `size` bytes takes when its Linears are in 4 bits: a little over half a byte a weight."""
    counts = {name: p.numel() for name, p in model.named_parameters()}
    whole = sum(counts.values())
    packed = sum(n for name, n in counts.items() if filling.is_four_bit(filling.owner_of(model, name), name))
    return size * (whole - packed) // whole + packed * 9 // 16


def _given_quantization(config: Any, folder: Path) -> str | None:
    """nf4 or fp4 where the folder's weights are in bitsandbytes' 4 bits already, None where they are in 16 or 32."""
    quantization = getattr(config, "quantization_config", None)
    if quantization is None:
        return None
    quantization = quantization if isinstance(quantization, dict) else quantization.to_dict()
    if quantization.get("load_in_4bit") or quantization.get("_load_in_4bit"):
        return str(quantization.get("bnb_4bit_quant_type"))
    raise ModelError(
        f"{folder.name} is quantized already ({quantization.get('quant_method', 'unknown')}): "
        "give the 16-bit model it was made from."
    )


def _fill(model: Any, source: Source, form: Format) -> Any:
    """Read every parameter from `source`, one at a time, and quantize what is not yet in 4 bits; returns `model`."""
    for _ in _filled(model, source, form):
        pass
    return model


def _filled(model: Any, source: Source, form: Format) -> Iterator[tuple[str, nn.Parameter]]:
    names = filling.parameters_to_fill(model)
    _check_names(model, source, names)
    for name in filling.shown(names, source.name):
        parameter = _made(model, name, names[name].shape, source, form)
        filling.put(model, name, parameter)
        yield name, parameter
    for name, buffer in model.named_buffers():
        if name in source.where:
            buffer.copy_(source.read(name))


def _made(model: Any, name: str, shape: torch.Size, source: Source, form: Format) -> nn.Parameter:
    """The parameter from its file: read in 4 bits, rounded to 4 bits, or in 16 or 32."""
    owner, file = filling.owner_of(model, name), source.where[name].name
    in_four = filling.is_four_bit(owner, name)
    if in_four and (parts := [other for other in source.where if other.startswith(name + ".")]):
        with one_sentence(file, local=True):
            return four_bit.restored(source.read(name), {part: source.read(part) for part in parts}, form)
    tensor = source.read(name)
    if tensor.shape != shape:
        raise ModelError(
            f"{name} is {tuple(tensor.shape)} in {file} and {tuple(shape)} by its config: "
            "they belong to different models; fetch it again, whole."
        )
    dtype = form.compute_dtype
    if form.quant_type and not in_four and filling.is_embedding_or_head(model, owner):
        dtype = filling.wide_dtype(tensor.dtype, dtype)
    # A copy: the file is mapped, and let go.
    made = tensor.to(form.device, dtype, copy=not in_four)
    if not made.isfinite().all():
        raise ModelError(
            f"{name} in {file} holds NaN or infinity, or numbers beyond {str(dtype).removeprefix('torch.')}: "
            "fetch it again, or load another base."
        )
    return four_bit.quantized(made, form) if in_four else filling.frozen(made)


def _check_names(model: Any, source: Source, names: dict[str, nn.Parameter]) -> None:
    if missing := [name for name in names if name not in source.where]:
        raise ModelError(
            f"{source.name} holds no {missing[0]} ({len(missing)} of {len(names)} weights are missing under the names "
            f"that {type(model).__name__} gives them): fetch it again, "
            "or load this architecture with transformers' own BitsAndBytesConfig."
        )
