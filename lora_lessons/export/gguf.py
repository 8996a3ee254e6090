"""Adapter and base as GGUF, the one file that llama.cpp and Ollama load.

Three things change on the way: the names (model.layers.0.self_attn.q_proj → blk.0.attn_q), the order of the rows of
q and k in Llama's family (see `permuted`), and √r of rsLoRA, which llama.cpp does not know and alpha takes in.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import gguf
import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from .. import models
from ..adapter import Adapter, read_adapter
from ..errors import ModelError
from ..files import whole_file
from . import vocab

# model_type → the architecture's name in llama.cpp, and whether its rows of q and k change order there.
ARCHITECTURES = {"llama": ("llama", True), "mistral": ("llama", True), "qwen2": ("qwen2", False)}
FILE_TYPES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}  # others are llama.cpp's own: see quantize


class Plan(NamedTuple):
    """One tensor to write: its name and shape in the base, its name in the GGUF, its type, and where to read it."""

    source: str
    name: str
    shape: tuple[int, ...]
    type: gguf.GGMLQuantizationType
    read: Callable[[], Tensor]

    @property
    def bytes(self) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.type]
        return math.prod(self.shape) // block * size


class Base(NamedTuple):
    """A Hugging Face folder as the exporter sees it: nothing of its weights is in memory."""

    folder: Path
    config: Any
    files: dict[str, Path]  # tensor → the safetensors file that holds it
    shapes: dict[str, tuple[int, ...]]

    @property
    def architecture(self) -> str:
        return ARCHITECTURES[self.config.model_type][0]

    def gguf_name(self, name: str) -> str:
        """model.layers.0.self_attn.q_proj.weight → blk.0.attn_q.weight. Raises ModelError for a tensor llama.cpp lacks."""
        found = _names(self.architecture, self.config.num_hidden_layers).get_name(
            name, try_suffixes=(".weight", ".bias")
        )
        if found is None:
            raise ModelError(f"{name} has no place in llama.cpp's {self.architecture}: {vocab.ELSEWHERE}.")
        return found

    def heads(self, name: str) -> int | None:
        """How many heads the rows of this tensor make up where their order changes; None elsewhere."""
        if not ARCHITECTURES[self.config.model_type][1]:
            return None
        if ".q_proj" in name:
            return self.config.num_attention_heads
        return self.config.num_key_value_heads if ".k_proj" in name else None


@cache
def _names(architecture: str, blocks: int) -> gguf.TensorNameMap:
    return gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], blocks)


def open_base(folder: Path | str) -> Base:
    """Look at a Hugging Face folder (config.json, safetensors). Raises ModelError for one that cannot be exported."""
    from transformers import AutoConfig

    from ..models.safetensors_files import weight_files

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: give the base model's folder, as transformers saves it.")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type not in ARCHITECTURES:
        raise ModelError(
            f"{folder.name} is a {config.model_type}; {', '.join(ARCHITECTURES)} are exported here: {vocab.ELSEWHERE}."
        )
    if getattr(config, "quantization_config", None) is not None:
        raise ModelError(f"{folder.name} is quantised already: give the 16-bit model that it was made from.")
    files, shapes = {}, {}
    for path in weight_files(folder):
        with safe_open(path, "pt") as file:
            names = file.keys()
            for name in names:
                files[name], shapes[name] = path, tuple(file.get_slice(name).get_shape())
    return Base(folder, config, files, shapes)


def permuted(rows: Tensor, heads: int) -> Tensor:
    """The rows of q or k in llama.cpp's order: Hugging Face turns row i with row i + half, llama.cpp rows 2i and 2i + 1.

    Within each head 0 1 2 3 | 4 5 6 7 becomes 0 4 1 5 2 6 3 7. Rotary embedding turns rows in pairs; which two are a
    pair is a convention, and a file must keep the convention of the program that reads it.
    """
    return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2).contiguous()


def gguf_alpha(adapter: Adapter) -> float:
    """alpha as llama.cpp needs it, which always divides by r: with rsLoRA √r is folded in (α·√r / r = α/√r)."""
    return adapter.scaling * adapter.r


def write_adapter(adapter: Adapter, base: Path | str, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write `adapter` for llama.cpp, in fp32: two tensors a layer, and alpha. Returns `out`.

    Raises ValueError when the adapter does not fit the base, FileExistsError when `out` exists and overwrite is False.
    """
    there = open_base(base)
    check_fit(adapter, there)
    plans = []
    for layer in adapter.A:
        name, heads = there.gguf_name(f"{layer}.weight"), there.heads(f"{layer}.weight")
        B = adapter.B[layer] if heads is None else permuted(adapter.B[layer], heads)
        for part, tensor in (("lora_a", adapter.A[layer]), ("lora_b", B)):
            plans.append(Plan(layer, f"{name}.{part}", tuple(tensor.shape), _type("f32"), tensor.contiguous))
    with _writer(out, there.architecture, plans, overwrite) as writer:
        writer.add_type("adapter")
        writer.add_name(adapter.name)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", gguf_alpha(adapter))
    return Path(out)


def check_fit(adapter: Adapter, base: Base) -> None:
    """Raise ValueError, naming the layer and both shapes, unless every ΔW has the shape of a weight llama.cpp adapts."""
    for layer, A in adapter.A.items():
        shape, weight = (adapter.B[layer].shape[0], A.shape[1]), f"{layer}.weight"
        if "embed" in layer or (layer == "lm_head" and base.config.tie_word_embeddings):
            raise ValueError(
                f"the adapter changes {layer}, which llama.cpp adapts in no model whose head and embedding are one: "
                "merge it (write_merged) after untying them, or train without this target."
            )
        if weight not in base.shapes:
            raise ValueError(
                f"the adapter changes {layer}, and {base.folder.name} has no such layer: another base model?"
            )
        if shape != base.shapes[weight]:
            raise ValueError(
                f"{layer}: the adapter's ΔW is {shape[0]}×{shape[1]}, the base's weight "
                f"{'×'.join(map(str, base.shapes[weight]))}: it was trained on another base model."
            )
        if not (A.isfinite().all() and adapter.B[layer].isfinite().all()):
            raise ValueError(f"{layer}: the adapter holds NaN or infinity; the training that made it went wrong.")


def write_base(base: Path | str, out: Path | str, file_type: str = "f16", *, overwrite: bool = False) -> Path:
    """Write the base model in `file_type` (FILE_TYPES). Returns `out`.

    Raises ModelError for a model or tokenizer that cannot be expressed, FileExistsError as in write_adapter.
    """
    return _write_model(open_base(base), None, out, file_type, overwrite)


def write_merged(
    base: Path | str, adapter: Adapter, out: Path | str, file_type: str = "f16", *, overwrite: bool = False
) -> Path:
    """Write the base with the adapter folded in, W + ΔW in fp32 and then `file_type`, one tensor in memory at a time."""
    there = open_base(base)
    check_fit(adapter, there)
    return _write_model(there, adapter, out, file_type, overwrite)


def quantize(source: Path | str, out: Path | str, file_type: str = "Q4_K_M", *, overwrite: bool = False) -> Path:
    """Write the GGUF `source` in one of llama.cpp's own types (Q4_K_M, Q5_K_M, Q6_K, Q4_0 …), made by llama.cpp."""
    from . import llamacpp

    source, out = Path(source), Path(out)
    _check_type(file_type)
    _refuse_existing(out, overwrite)
    if not source.is_file():
        raise FileNotFoundError(
            f"{source} does not exist: write a base or merged GGUF first (write_base, write_merged)."
        )
    _check_room(out, source.stat().st_size)
    with whole_file(out) as temporary:
        llamacpp.quantize(source, temporary, file_type)
    return out


def export(
    adapter_folder: Path | str,
    out: Path | str,
    base: Path | str | None = None,
    file_types: Sequence[str] = ("f16",),
    merged: bool = False,
    *,
    overwrite: bool = False,
) -> tuple[list[Path], list[str]]:
    """The adapter, its base in each of `file_types` and, with `merged`, the two in one; return the files and findings.

    `base` is the embedded one, a folder or a hub id; None: the one that the adapter names. Nothing is written when a
    file of that name exists, unless overwrite. Raises FileExistsError, ModelError or ValueError with what to do.
    """
    adapter = read_adapter(Path(adapter_folder).resolve())  # its name is the folder's
    folder, out = models.folder(base or adapter.base_name or models.EMBEDDED), Path(out)
    said, there = findings(folder), open_base(folder)
    check_fit(adapter, there)
    target = out / f"{adapter.name}-lora.gguf"
    todo: list[tuple[Path, str, Adapter | None]] = [
        (out / f"{folder.name}-{kind}.gguf", kind, None) for kind in file_types
    ]
    todo += [(out / f"{folder.name}-{adapter.name}-{kind}.gguf", kind, adapter) for kind in file_types if merged]
    for path in (target, *(path for path, _, _ in todo)):
        _refuse_existing(path, overwrite)
    for kind in file_types:
        _check_type(kind)
    files = [write_adapter(adapter, folder, target, overwrite=overwrite)]
    for path, kind, folded in todo:
        files.append(_write_in(kind, there, folded, path, overwrite))
    return files, said


def _write_in(kind: str, base: Base, adapter: Adapter | None, out: Path, overwrite: bool) -> Path:
    """One model in any type: ours directly, llama.cpp's own by way of a 16-bit file that is deleted again."""
    if kind.lower() in FILE_TYPES:
        return _write_model(base, adapter, out, kind, overwrite)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".quantize-") as folder:
        return quantize(
            _write_model(base, adapter, Path(folder) / "f16.gguf", "f16", False), out, kind, overwrite=overwrite
        )


def findings(base: Path | str, tokenizer: Any = None) -> list[str]:
    """What differs or may trip up between this base in transformers and in llama.cpp: template, EOS, attention window.

    Raises ModelError when llama.cpp's tokens are not the tokenizer's.
    """
    there = open_base(base)
    found = []
    window, context = getattr(there.config, "sliding_window", None), there.config.max_position_embeddings
    if window and window < context and getattr(there.config, "use_sliding_window", True):
        found.append(
            f"This base looks back {window} tokens, llama.cpp over the whole text: past {window} tokens they differ."
        )
    with tempfile.TemporaryDirectory() as folder:
        size = there.shapes["model.embed_tokens.weight"][0]
        return found + vocab.check(there.folder, tokenizer or _tokenizer(there), size, Path(folder))


def read(file: Path | str) -> gguf.GGUFReader:
    """A GGUF's fields and tensors, mapped from disk. Raises ValueError when `file` is none."""
    try:
        return gguf.GGUFReader(file)
    except (ValueError, OSError, IndexError) as error:
        raise ValueError(f"{file} is no whole GGUF ({error}).") from error


def _tokenizer(base: Base) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False)


def _check_type(file_type: str) -> None:
    """Raise ValueError unless llama.cpp has a type of that name."""
    if f"MOSTLY_{file_type.upper()}" not in gguf.LlamaFileType.__members__ and file_type.lower() not in FILE_TYPES:
        raise ValueError(
            f"{file_type!r} is no type of GGUF: choose {', '.join(FILE_TYPES)}, or Q4_K_M, Q5_K_M, Q6_K, Q4_0 …"
        )


def _check_room(out: Path, size: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(out.parent).free) < size * 1.02:
        raise OSError(
            f"{out.name} takes {size / 1e9:.2f} GB and {free / 1e9:.2f} GB is free in {out.parent}: make room."
        )


def _type(file_type: str) -> gguf.GGMLQuantizationType:
    if file_type.lower() not in FILE_TYPES:
        raise ValueError(f"{file_type!r} is not written here: choose {', '.join(FILE_TYPES)}, or call quantize for it.")
    return gguf.GGMLQuantizationType[FILE_TYPES[file_type.lower()]]


def _write_model(base: Base, adapter: Adapter | None, out: Path | str, file_type: str, overwrite: bool) -> Path:
    kind, tokenizer = _type(file_type), _tokenizer(base)
    _refuse_existing(Path(out), overwrite)
    plans = list(_plans(base, adapter, kind))
    with tempfile.TemporaryDirectory() as folder:  # tokens that differ are seen before the long work
        vocab.check(base.folder, tokenizer, base.shapes["model.embed_tokens.weight"][0], Path(folder))
    with _writer(out, base.architecture, plans, overwrite) as writer:
        writer.add_type("model")
        writer.add_name(f"{base.folder.name}{f' + {adapter.name}' if adapter else ''}")
        writer.add_file_type(gguf.LlamaFileType[("ALL_" if file_type.lower() == "f32" else "MOSTLY_") + kind.name])
        _add_shape(writer, base)
        vocab.add_vocab(writer, tokenizer, base.shapes["model.embed_tokens.weight"][0])
    return Path(out)


def _plans(base: Base, adapter: Adapter | None, kind: gguf.GGMLQuantizationType) -> Iterator[Plan]:
    fp32, f16 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16
    for name, shape in base.shapes.items():
        if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and base.config.tie_word_embeddings):
            continue  # llama.cpp computes the first, and takes a head that is missing from the embedding
        block = gguf.GGML_QUANT_SIZES[kind][0]
        stored = fp32 if len(shape) == 1 else kind if shape[-1] % block == 0 else f16

        def read(name: str = name) -> Tensor:
            with safe_open(base.files[name], "pt") as file:
                tensor = file.get_tensor(name).float()
            layer = name.removesuffix(".weight")
            if adapter is not None and layer in adapter.A:
                tensor = tensor + adapter.scaling * (adapter.B[layer] @ adapter.A[layer])
            heads = base.heads(name)
            return tensor if heads is None else permuted(tensor, heads)

        yield Plan(name, base.gguf_name(name), shape, stored, read)
    if (factors := _rope_factors(base.config)) is not None:
        yield Plan("rope", "rope_freqs.weight", tuple(factors.shape), fp32, factors.contiguous)


def _head_size(config: Any) -> int:
    """How many rows of q, k and v make up a head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _rope_factors(config: Any) -> Tensor | None:
    """Llama 3's stretched rotary frequencies, as the divisor of each; None for the plain ones."""
    said = config.rope_parameters
    if said.get("rope_type", "default") != "llama3":
        return None
    size = _head_size(config)
    wave = 2 * math.pi * said["rope_theta"] ** (torch.arange(0, size, 2).float() / size)
    low, high, factor, first = (
        said[k] for k in ("low_freq_factor", "high_freq_factor", "factor", "original_max_position_embeddings")
    )
    smooth = (first / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return torch.where(wave < first / high, 1.0, torch.where(wave > first / low, float(factor), between))


def _add_shape(writer: gguf.GGUFWriter, base: Base) -> None:
    """The hyperparameters that llama.cpp builds the network from."""
    config, rope = base.config, base.config.rope_parameters
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3"):
        raise ModelError(f"rotary embeddings of type {rope['rope_type']} are not written here: {vocab.ELSEWHERE}.")
    size = _head_size(config)
    for name, value in {
        "block_count": config.num_hidden_layers, "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size, "feed_forward_length": config.intermediate_size,
        "head_count": config.num_attention_heads, "head_count_kv": config.num_key_value_heads,
        "key_length": size, "value_length": size, "rope_dimension_count": size,
        "layer_norm_rms_eps": config.rms_norm_eps, "rope_freq_base": rope["rope_theta"],
        "vocab_size": base.shapes["model.embed_tokens.weight"][0],
    }.items():  # fmt: skip
        getattr(writer, f"add_{name}")(value)
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists: choose another name, or pass overwrite=True to replace it.")


@contextmanager
def _writer(out: Path | str, architecture: str, plans: list[Plan], overwrite: bool) -> Iterator[gguf.GGUFWriter]:
    """A writer for the metadata; when the block ends, the tensors follow one by one, and the file takes its name."""
    from tqdm.auto import tqdm

    out, total = Path(out), sum(plan.bytes for plan in plans)
    _refuse_existing(out, overwrite)
    _check_room(out, total)
    with whole_file(out) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture)
        try:
            yield writer
            for plan in plans:
                writer.add_tensor_info(plan.name, plan.shape, np.dtype(np.float32), plan.bytes, plan.type)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            with tqdm(total=total, unit="B", unit_scale=True, desc=out.name, leave=False, disable=total < 1e9) as bar:
                for plan in plans:
                    writer.write_tensor_data(gguf.quants.quantize(plan.read().numpy(), plan.type))
                    bar.update(plan.bytes)
        finally:
            writer.close()
