"""A model or an adapter as GGUF: the base, the base with an adapter folded in,
or the adapter that llama.cpp loads beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor

from lora_lessons import llamacpp
from lora_lessons.adapter import Adapter
from lora_lessons.errors import ModelError
from lora_lessons.files import refuse_existing, whole_file
from lora_lessons.lora import check_update

from . import names, vocabulary
from .file import TensorPlan, check_room, check_type, describe, new_file, tensor_type
from .source import SourceModel, open_base

# The largest number of a tensor; Q8_0 keeps a block's absmax over 127 as an f16.
LARGEST = {"F16": 65504.0, "Q8_0": 127 * 65504.0}


def checked_base(base: Path | str | SourceModel, adapter: Adapter | None = None) -> SourceModel:
    """The base, opened, after every check that writing it (and `adapter`) would make: nothing is written in vain.

    Raises ModelError or ValueError for what cannot be expressed.
    """
    source = open_base(base)
    if adapter is not None:
        check_fit(adapter, source)
    model_tensors(source, adapter, "f16")
    _ = source.findings  # raises where tokens differ
    return source


def why_not_written(base: Path | str | SourceModel) -> str:
    """Why no GGUF of this base is written, as far as its configuration and the names of its tensors say;
    "" where it is.

    Reads no weights, and leaves the tokenizer's proof to the export.
    """
    try:
        model_tensors(open_base(base), None, "f16")
    except ModelError as error:
        return str(error)
    return ""


def write_base(
    base: Path | str | SourceModel, out: Path | str, file_type: str = "f16", *, overwrite: bool = False
) -> Path:
    """Write the base model in `file_type` (FILE_TYPES). Returns `out`.

    `base` is a Hugging Face folder, or what `open_base` made of one, which is proven only once however often it is
    written. Raises ModelError for a model or tokenizer that cannot be expressed, FileExistsError as in write_adapter.
    """
    return write_model(open_base(base), None, out, file_type, overwrite=overwrite)


def write_merged(
    base: Path | str | SourceModel,
    adapter: Adapter,
    out: Path | str,
    file_type: str = "f16",
    *,
    overwrite: bool = False,
) -> Path:
    """Write the base with the adapter folded in, W + ΔW in fp32 and then `file_type`,
    one tensor in memory at a time."""
    source = open_base(base)
    check_fit(adapter, source)
    return write_model(source, adapter, out, file_type, overwrite=overwrite)


def quantize(
    source: Path | str,
    out: Path | str,
    file_type: str = "Q4_K_M",
    *,
    importance: Mapping[str, Tensor] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the GGUF `source` in one of llama.cpp's own types (Q4_K_M, Q5_K_M, Q6_K, Q4_0 …), made by llama.cpp.

    `importance` (see the function of that name) says which columns matter more.
    """
    source, out = Path(source), Path(out)
    check_type(file_type)
    refuse_existing(out, overwrite, "name")
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist: write it first, as `lora-lessons export gguf` does.")
    check_room(out, source.stat().st_size)
    with whole_file(out) as temporary:
        llamacpp.quantize(source, temporary, file_type, importance)
    return out


def write_model(
    source: SourceModel, adapter: Adapter | None, out: Path | str, file_type: str, *, overwrite: bool
) -> Path:
    """Write the base, with `adapter` folded in unless it is None; what cannot be expressed is said before any work."""
    kind = tensor_type(file_type)
    refuse_existing(Path(out), overwrite, "name")
    plans = model_tensors(source, adapter, file_type)
    _ = source.findings  # raises where tokens differ
    with new_file(out, source.architecture, plans, overwrite) as writer:
        describe(
            writer,
            type="model",
            name=source.folder.name + (f" + {adapter.name}" if adapter else ""),
            file_type=gguf.LlamaFileType[("ALL_" if kind.name == "F32" else "MOSTLY_") + kind.name],
        )
        _add_shape(writer, source)
        vocabulary.add_vocabulary(writer, source.tokenizer, source.vocabulary_size)
    return Path(out)


def model_tensors(source: SourceModel, adapter: Adapter | None, file_type: str) -> list[TensorPlan]:
    """Every tensor of the model, to be read when its turn comes.
    Raises ModelError for what llama.cpp has no place for."""
    _check_rope(source.config)
    plans = list(_weights(source, adapter, tensor_type(file_type)))
    if (factors := _rope_factors(source.config)) is not None:
        plans.append(TensorPlan("rope_freqs.weight", tuple(factors.shape), tensor_type("f32"), factors.contiguous))
    return plans


def _weights(source: SourceModel, adapter: Adapter | None, kind: gguf.GGMLQuantizationType) -> Iterator[TensorPlan]:
    block = gguf.GGML_QUANT_SIZES[kind][0]
    for name, shape in source.shapes.items():
        # llama.cpp computes the first, and takes a head that is missing from the embedding
        if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and source.config.tie_word_embeddings):
            continue

        matrix = kind if shape[-1] % block == 0 else tensor_type("f16")
        stored = tensor_type("f32") if len(shape) == 1 else matrix

        def read(name: str = name, stored: gguf.GGMLQuantizationType = stored) -> Tensor:
            tensor = source.read(name)
            layer = name.removesuffix(".weight")
            if adapter is not None and layer in adapter.A:
                tensor = tensor + adapter.delta(layer)
            _check_numbers(tensor, name, source, stored)
            return source.reordered(name, tensor)

        yield TensorPlan(source.gguf_name(name), shape, stored, read)


def _check_numbers(tensor: Tensor, name: str, source: SourceModel, stored: gguf.GGMLQuantizationType) -> None:
    """Raise ModelError, naming the tensor, where it holds NaN or infinity,
    or would in the type that it is stored in."""
    largest = max(abs(float(end)) for end in tensor.aminmax())
    if not math.isfinite(largest):
        raise ModelError(
            f"{name} in {source.files[name].name} holds NaN or infinity, and every answer would: fetch "
            f"{source.folder.name} again, or give another base."
        )
    if largest > LARGEST.get(stored.name, math.inf):
        raise ModelError(
            f"{name} goes up to {largest:.3g}, and {stored.name} ends at {LARGEST[stored.name]:.3g}: write bf16 or f32."
        )


def _head_size(config: Any) -> int:
    """How many rows of q, k and v make up a head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _check_rope(config: Any) -> None:
    """Raise ModelError for rotary embeddings that a GGUF written here cannot say."""
    kind = config.rope_parameters.get("rope_type", "default")
    if kind not in ("default", "linear", "llama3"):
        raise ModelError(f"rotary embeddings of type {kind} are not written here: {names.ELSEWHERE}.")


def _rope_factors(config: Any) -> Tensor | None:
    """Llama 3's stretched rotary frequencies, as the divisor of each; None for the plain ones."""
    rope = config.rope_parameters
    if rope.get("rope_type", "default") != "llama3":
        return None
    size = _head_size(config)
    wave = 2 * math.pi * rope["rope_theta"] ** (torch.arange(0, size, 2).float() / size)
    low, high, factor, first = (
        rope[k] for k in ("low_freq_factor", "high_freq_factor", "factor", "original_max_position_embeddings")
    )
    smooth = (first / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    return torch.where(wave < first / high, 1.0, torch.where(wave > first / low, float(factor), between))


def _add_shape(writer: gguf.GGUFWriter, source: SourceModel) -> None:
    """The hyperparameters that llama.cpp builds the network from."""
    config, rope, size = source.config, source.config.rope_parameters, _head_size(source.config)
    describe(
        writer,
        block_count=config.num_hidden_layers,
        context_length=config.max_position_embeddings,
        embedding_length=config.hidden_size,
        feed_forward_length=config.intermediate_size,
        head_count=config.num_attention_heads,
        head_count_kv=config.num_key_value_heads,
        key_length=size,
        value_length=size,
        rope_dimension_count=size,
        layer_norm_rms_eps=config.rms_norm_eps,
        rope_freq_base=rope["rope_theta"],
        vocab_size=source.vocabulary_size,
    )
    if rope.get("rope_type") == "linear":
        describe(writer, rope_scaling_type=gguf.RopeScalingType.LINEAR, rope_scaling_factor=rope["factor"])


def write_adapter(
    adapter: Adapter, base: Path | str | SourceModel, out: Path | str, *, overwrite: bool = False
) -> Path:
    """Write `adapter` for llama.cpp, in fp32: two tensors a layer, and alpha. Returns `out`.

    Raises ValueError when the adapter does not fit the base, FileExistsError when `out` exists and overwrite is False.
    """
    source = open_base(base)
    check_fit(adapter, source)
    with new_file(out, source.architecture, adapter_tensors(adapter, source), overwrite) as writer:
        describe(writer, type="adapter", name=adapter.name)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", names.gguf_alpha(adapter))
    return Path(out)


def adapter_tensors(adapter: Adapter, source: SourceModel) -> list[TensorPlan]:
    """A and B of each layer, B's rows in the order that llama.cpp has W's in,
    and B scaled where α is the layer's own."""
    plans = []
    for layer, A in adapter.A.items():
        weight = f"{layer}.weight"
        B = source.reordered(weight, adapter.B[layer]) * names.factor_of_b(adapter, layer)
        for part, tensor in (("lora_a", A), ("lora_b", B)):
            plans.append(
                TensorPlan(
                    f"{source.gguf_name(weight)}.{part}", tuple(tensor.shape), tensor_type("f32"), tensor.contiguous
                )
            )
    return plans


def check_fit(adapter: Adapter, source: SourceModel) -> None:
    """Raise ValueError, naming the layer and both shapes,
    unless every ΔW has the shape of a weight llama.cpp adapts."""
    for layer, A in adapter.A.items():
        B, weight = adapter.B[layer], f"{layer}.weight"
        if "embed" in layer or (layer == "lm_head" and source.config.tie_word_embeddings):
            raise ValueError(
                f"the adapter changes {layer}, which llama.cpp adapts in no model whose head and embedding are one: "
                "merge it with PEFT after untying them, or train without this target."
            )
        if weight not in source.shapes:
            raise ValueError(
                f"the adapter changes {layer}, and {source.folder.name} has no such layer: give the base that the "
                "adapter was trained on, or fetch this one again."
            )
        if (B.shape[0], A.shape[1]) != source.shapes[weight]:
            raise ValueError(
                f"{layer}: the adapter's ΔW is {B.shape[0]}×{A.shape[1]}, the base's weight "
                f"{'×'.join(map(str, source.shapes[weight]))}: it was trained on another base model."
            )
        check_update(layer, A, B, adapter.scaling(layer))
