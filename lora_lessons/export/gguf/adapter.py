"""A LoRA adapter as a GGUF of its own, which llama.cpp loads beside the base and scales."""

from __future__ import annotations

from pathlib import Path

from ...adapter import Adapter
from ...lora import check_update
from . import names
from .file import TensorPlan, new_file, tensor_type
from .source import SourceModel, open_base


def write_adapter(
    adapter: Adapter, base: Path | str | SourceModel, out: Path | str, *, overwrite: bool = False
) -> Path:
    """Write `adapter` for llama.cpp, in fp32: two tensors a layer, and alpha. Returns `out`.

    Raises ValueError when the adapter does not fit the base, FileExistsError when `out` exists and overwrite is False.
    """
    source = open_base(base)
    check_fit(adapter, source)
    with new_file(out, source.architecture, adapter_tensors(adapter, source), overwrite) as writer:
        writer.add_type("adapter")
        writer.add_name(adapter.name)
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", names.gguf_alpha(adapter))
    return Path(out)


def adapter_tensors(adapter: Adapter, source: SourceModel) -> list[TensorPlan]:
    """A and B of each layer, B's rows in the order that llama.cpp has W's in, and B scaled where α is the layer's own."""
    plans = []
    for layer, A in adapter.A.items():
        weight = f"{layer}.weight"
        B = source.reordered(weight, adapter.B[layer]) * names.factor_of_b(adapter, layer)
        for part, tensor in (("lora_a", A), ("lora_b", B)):
            name = f"{source.gguf_name(weight)}.{part}"
            plans.append(TensorPlan(name, tuple(tensor.shape), tensor_type("f32"), tensor.contiguous))
    return plans


def check_fit(adapter: Adapter, source: SourceModel) -> None:
    """Raise ValueError, naming the layer and both shapes, unless every ΔW has the shape of a weight llama.cpp adapts."""
    for layer, A in adapter.A.items():
        B, weight = adapter.B[layer], f"{layer}.weight"
        if "embed" in layer or (layer == "lm_head" and source.config.tie_word_embeddings):
            raise ValueError(
                f"the adapter changes {layer}, which llama.cpp adapts in no model whose head and embedding are one: "
                "merge it (write_merged) after untying them, or train without this target."
            )
        if weight not in source.shapes:
            raise ValueError(
                f"the adapter changes {layer}, and {source.folder.name} has no such layer: give the base that the adapter "
                "was trained on, or fetch this one again."
            )
        if (B.shape[0], A.shape[1]) != source.shapes[weight]:
            raise ValueError(
                f"{layer}: the adapter's ΔW is {B.shape[0]}×{A.shape[1]}, the base's weight "
                f"{'×'.join(map(str, source.shapes[weight]))}: it was trained on another base model."
            )
        check_update(layer, A, B, adapter.scaling(layer))
