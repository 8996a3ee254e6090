"""A base in 4 bits, filled tensor by tensor: a 7B is built where its 16-bit weights (15 GB) would never fit.

meta device (shapes, no memory) → one weight → quantised by bitsandbytes → the next; the 16-bit whole never exists
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ModelError
from ..files import whole_folder
from . import four_bit
from .four_bit import BLOCKSIZE, FORMATS, Format

KEEP_FROM = 2_000_000_000  # bytes of 16-bit weights from which the 4-bit ones are kept for the next start
INDEX, SINGLE, MANIFEST = "model.safetensors.index.json", "model.safetensors", "made_from.json"
_SHARD = 1 << 28  # bytes of a file of kept 4-bit weights, about one block of a 7B


def random_model(config: Any, form: Format, seed: int = 0) -> Any:
    """A model of `config`'s architecture with random weights in 4 bits, as a fresh initialisation would have them.

    Linears come from four_bit.RandomBlocks with std = config.initializer_range; embeddings and head are normal in 16
    bits, norms are 1, biases 0. Memory and speed are those of the real model; what it says is noise.
    """
    model = _hollow(config, form)
    generator = torch.Generator(form.device).manual_seed(seed)
    std = getattr(config, "initializer_range", 0.02)
    blocks = four_bit.RandomBlocks(std, form, generator)
    names = _todo(model)
    for name in _shown(names, "random weights"):
        shape, owner = names[name].shape, _owner(model, name)
        if _is_packed(owner, name):
            parameter: nn.Parameter = blocks.weight(shape)
        elif _is_wide(model, owner):
            weight = torch.empty(shape, dtype=_wide_dtype(torch.bfloat16, form.compute_dtype), device=form.device)
            parameter = _frozen(weight.normal_(0, std, generator=generator))
        else:
            fill = 0.0 if name.endswith("bias") or "Gemma" in type(owner).__name__ else 1.0  # Gemma's norms add the 1
            parameter = _frozen(torch.full(shape, fill, dtype=form.compute_dtype, device=form.device))
        _put(model, name, parameter)
    described = json.dumps([config.to_dict(), *map(str, form), seed, torch.__version__], sort_keys=True, default=str)
    return _finished(model, form, f"random {hashlib.sha256(described.encode()).hexdigest()}")


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
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    files, name = weight_files(folder), name or str(folder)
    source = [[f.name, f.resolve().name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    size = sum(f.stat().st_size for f in files)
    mark = hashlib.sha256(json.dumps([name, source]).encode()).hexdigest()
    given = _given_quantization(config, folder)
    if given and given != form.quant_type:
        raise ModelError(f"{folder.name} holds {given} weights: load it with precision={given!r}.")
    if given or size < KEEP_FROM or cache is None:
        model = _fill(_hollow(config, form), files, form, folder.name)
        return _finished(model, form, f"{mark} {form}" if size >= KEEP_FROM else None)
    which = [
        Path(name).name[:40],
        hashlib.sha256(name.encode()).hexdigest()[:8],
        form.quant_type,
        str(form.compute_dtype),
    ]
    place = cache / "-".join(which).replace("torch.", "")
    made_from = {"source": source, "form": list(map(str, form[:2])), "blocksize": BLOCKSIZE}
    if kept := _kept(place, made_from):
        model = _fill(_hollow(config, form), kept, form, f"{folder.name}, kept in 4 bits")
    else:
        model = _make(config, files, form, place, made_from, size)
    return _finished(model, form, f"{mark} {form}")


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


def _given_quantization(config: Any, folder: Path) -> str | None:
    """nf4 or fp4 where the folder's weights are in bitsandbytes' 4 bits already, None where they are in 16 or 32."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return None
    found = found if isinstance(found, dict) else found.to_dict()
    if found.get("load_in_4bit") or found.get("_load_in_4bit"):
        return str(found.get("bnb_4bit_quant_type"))
    raise ModelError(
        f"{folder.name} is quantised already ({found.get('quant_method', 'unknown')}): give the 16-bit model it was made from."
    )


def _hollow(config: Any, form: Format) -> Any:
    """The architecture on the meta device: every Linear but the head is bitsandbytes' Linear4bit, nothing has memory."""
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    if form.quant_type not in FORMATS:
        raise ValueError(f"{form.quant_type!r} is no 4-bit format here: choose from {', '.join(FORMATS)}.")
    with init_empty_weights(include_buffers=False):  # buffers (the rotary angles) are computed, not loaded
        model = AutoModelForCausalLM.from_config(config, dtype=form.compute_dtype)
    head = model.get_output_embeddings()
    layer = four_bit.SlicedLinear4bit if form.device == "cpu" else bnb.nn.Linear4bit
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear and module is not head:
            four = layer(
                module.in_features, module.out_features, module.bias is not None, form.compute_dtype,
                compress_statistics=True, quant_type=form.quant_type, device="meta",
            )  # fmt: skip
            model.set_submodule(name, four)
    model.tie_weights()
    return model


def _todo(model: Any) -> dict[str, nn.Parameter]:
    """The parameters still to fill, each once (a tied head is its embedding), the large 16-bit ones first.

    First, because copying a tensor briefly needs it twice, and little else is held at the start.
    """
    unique = dict(model.named_parameters())
    return dict(
        sorted(unique.items(), key=lambda item: (_is_packed(_owner(model, item[0]), item[0]), -item[1].numel()))
    )


def _fill(model: Any, files: list[Path], form: Format, label: str) -> Any:
    """Read every parameter from `files`, one at a time, and quantise what is not yet in 4 bits."""
    for _ in _filled(model, files, form, label):
        pass
    return model


def _filled(model: Any, files: list[Path], form: Format, label: str) -> Iterator[tuple[str, nn.Parameter]]:
    where, names = _where(files), _todo(model)
    _check_names(model, where, names, files[0].parent)
    for name in _shown(names, label):
        owner = _owner(model, name)
        if _is_packed(owner, name) and (parts := [n for n in where if n.startswith(name + ".")]):
            parameter: nn.Parameter = four_bit.restored(_read(where, name), {n: _read(where, n) for n in parts}, form)
        else:
            tensor = _read(where, name)
            if tensor.shape != names[name].shape:
                raise ModelError(
                    f"{name} is {tuple(tensor.shape)} in {where[name].name} and {tuple(names[name].shape)} by config.json: "
                    "they belong to different models; fetch the folder again."
                )
            if _is_packed(owner, name):
                parameter = four_bit.quantised(tensor.to(form.device, form.compute_dtype), form)
            else:
                wide = _is_wide(model, owner)
                dtype = _wide_dtype(tensor.dtype, form.compute_dtype) if wide else form.compute_dtype
                parameter = _frozen(tensor.to(form.device, dtype, copy=True))  # a copy: the file is mapped, and let go
            del tensor
        _put(model, name, parameter)
        yield name, parameter
    for name, buffer in model.named_buffers():
        if name in where:
            buffer.copy_(_read(where, name))


def _where(files: list[Path]) -> dict[str, Path]:
    """Which file holds which tensor. Raises ModelError for a file that is cut short or no safetensors."""
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


def _check_names(model: Any, where: dict[str, Path], names: dict[str, nn.Parameter], folder: Path) -> None:
    if missing := [name for name in names if name not in where]:
        raise ModelError(
            f"{folder} holds no {missing[0]} ({len(missing)} of {len(names)} weights are missing under the names that "
            f"{type(model).__name__} gives them): fetch it again, or load this architecture with transformers' own BitsAndBytesConfig."
        )


def _read(where: dict[str, Path], name: str) -> Tensor:
    """One tensor, as a view of its mapped file; the file is unmapped when the tensor is let go.

    Opened anew for each: an open file keeps all that was read of it in this process's memory.
    """
    with safe_open(where[name], "pt") as file:
        return file.get_tensor(name)


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=False)


def _owner(model: Any, name: str) -> Any:
    return model.get_submodule(name.rpartition(".")[0])


def _is_packed(owner: Any, name: str) -> bool:
    return isinstance(owner, bnb.nn.Linear4bit) and name.endswith(".weight")


def _is_wide(model: Any, owner: Any) -> bool:
    """Embeddings and head: as many numbers as a seventh of a 7B, and not quantised."""
    return isinstance(owner, nn.Embedding) or owner is model.get_output_embeddings()


def _put(model: Any, name: str, parameter: nn.Parameter) -> None:
    owner, leaf = _owner(model, name), name.rpartition(".")[2]
    setattr(owner, leaf, parameter)
    if hasattr(parameter, "quant_state"):
        owner.quant_state = parameter.quant_state


def _wide_dtype(given: torch.dtype, compute: torch.dtype) -> torch.dtype:
    """How embeddings and head are held: never wider than the file has them (2 GB of a 7B, 4 GB in fp32)."""
    return given if compute == torch.float32 and given in (torch.bfloat16, torch.float16) else compute


def _finished(model: Any, form: Format, fingerprint: str | None) -> Any:
    """Tie, and let 16-bit embeddings and head take part in fp32 work; `fingerprint` stands for the frozen bytes."""
    model.tie_weights()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if embedding.weight.dtype != form.compute_dtype:
        embedding.register_forward_hook(partial(_widened, dtype=form.compute_dtype))
    if head.weight.dtype != form.compute_dtype:
        wide = four_bit.WidenedLinear(head.in_features, head.out_features, head.bias is not None, device="meta")
        wide.weight, wide.bias = head.weight, head.bias
        model.set_output_embeddings(wide)
    for module in model.modules():  # the rotary angles were computed on the CPU
        module._buffers |= {n: b.to(form.device) for n, b in module._buffers.items() if b is not None}
    _describe(model, form)
    if fingerprint:
        model.base_fingerprint = fingerprint
    return model.requires_grad_(False).eval()


def _describe(model: Any, form: Format) -> None:
    """What transformers and PEFT ask a model when they want to know whether it is in 4 bits."""
    from transformers import BitsAndBytesConfig

    model.is_loaded_in_4bit = True
    model.config.quantization_config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=form.quant_type, bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=form.compute_dtype,
    )  # fmt: skip


def _widened(module: nn.Module, inputs: Any, output: Tensor, dtype: torch.dtype) -> Tensor:
    return output.to(dtype)


def _shown(names: dict[str, nn.Parameter], label: str) -> Iterator[str]:
    """The names one by one, under a progress bar that counts weights."""
    from tqdm.auto import tqdm

    sizes = [p.numel() for p in names.values()]
    with tqdm(
        total=sum(sizes), unit="weight", unit_scale=True, desc=label, leave=False, disable=sum(sizes) < 1e9
    ) as bar:
        for name, size in zip(names, sizes, strict=True):
            yield name
            bar.update(size)


def _make(config: Any, files: list[Path], form: Format, place: Path, made_from: dict[str, Any], size: int) -> Any:
    """Fill from `files` and write each tensor's 4-bit form as it is made: `place` appears when all is there."""
    model = _hollow(config, form)
    packed = sum(p.numel() for name, p in model.named_parameters() if _is_packed(_owner(model, name), name))
    needed = size * (_parameters(model) - packed) // _parameters(model) + packed * 9 // 16
    place.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise ModelError(
            f"the 4-bit weights need {needed / 1e9:.1f} GB in {place.parent} and {free / 1e9:.1f} GB is free: "
            "make room, or set LORA_LESSONS_CACHE to another disk."
        )
    try:
        with whole_folder(place) as new:
            index: dict[str, str] = {}
            shard: dict[str, Tensor] = {}
            for name, parameter in _filled(model, files, form, f"{place.name}, once"):
                shard[name] = parameter.detach()
                if state := getattr(parameter, "quant_state", None):
                    shard |= {f"{name}.{part}": tensor for part, tensor in state.as_dict(packed=True).items()}
                if sum(t.nbytes for t in shard.values()) >= _SHARD:
                    shard = _write_shard(shard, new, index)
            _write_shard(shard, new, index)
            hashes = {file: _sha256(new / file) for file in sorted(set(index.values()))}
            (new / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}), encoding="utf-8")
            (new / MANIFEST).write_text(json.dumps({**made_from, "sha256": hashes}), encoding="utf-8")
            _describe(model, form)
            model.config.save_pretrained(new)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the 4-bit weights could not be kept in {place.parent} ({error}): free {needed / 1e9:.1f} GB there, or set "
            "LORA_LESSONS_CACHE to another disk."
        ) from error
    return model


def _write_shard(shard: dict[str, Tensor], folder: Path, index: dict[str, str]) -> dict[str, Tensor]:
    """Write `shard` as the next file, note in `index` what it holds, and return an empty one."""
    if shard:
        file = f"model-{len(set(index.values())) + 1:05d}.safetensors"
        save_file(
            {n: t.as_subclass(Tensor).cpu().contiguous() for n, t in shard.items()}, folder / file, {"format": "pt"}
        )
        index |= dict.fromkeys(shard, file)
    return {}


def _parameters(model: Any) -> int:
    return sum(p.numel() for p in model.parameters())


def _kept(place: Path, made_from: dict[str, Any]) -> list[Path] | None:
    """The files of an earlier _make, or None where there are none, the source has changed, or a byte is wrong."""
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        hashes = manifest.pop("sha256")
        if manifest != made_from:
            return None
        wrong = [name for name, expected in hashes.items() if _sha256(place / name) != expected]
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    if wrong:
        print(f"{wrong[0]} in {place.name} is damaged: the 4-bit weights are made anew.")
        return None
    return [place / name for name in hashes]


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
