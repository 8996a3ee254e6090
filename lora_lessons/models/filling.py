"""A model that is filled one parameter at a time, so that the 16-bit whole never exists;
and 4-bit weights kept on disk.

They lie in transformers' own layout, so that a 7B is rounded once and read from then on.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ModelError, Unavailable, cache_advice
from ..files import whole_folder
from ..sums import sha256
from .four_bit import FORMATS, Format, SlicedLinear4bit
from .frozen import WidenedLinear
from .weights import INDEX


def empty_model(config: Any, form: Format) -> Any:
    """The architecture on the meta device, where nothing has memory.

    In 4 bits every Linear but the head is bitsandbytes' Linear4bit.
    """
    from accelerate import init_empty_weights
    from transformers import AutoModelForCausalLM

    if form.quant_type not in (*FORMATS, ""):
        raise ValueError(f"{form.quant_type!r} is no 4-bit format here: choose from {', '.join(FORMATS)}.")
    # Buffers (the rotary angles) are computed, not loaded.
    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config, dtype=form.compute_dtype, trust_remote_code=False)
    if form.quant_type:
        _make_four_bit(model, form)
    model.tie_weights()
    return model


def _make_four_bit(model: Any, form: Format) -> None:
    """Put bitsandbytes' Linear4bit, without memory, in the place of every Linear but the head."""
    head = model.get_output_embeddings()
    layer = SlicedLinear4bit if form.device == "cpu" else bnb.nn.Linear4bit
    linears = {name: m for name, m in model.named_modules() if type(m) is nn.Linear and m is not head}
    if not linears:
        raise ModelError(
            f"4 bits hold Linear layers, and {type(model).__name__} has none but its head: load it with "
            "precision='bf16' or 'fp32'."
        )
    for name, module in linears.items():
        sizes = module.in_features, module.out_features, module.bias is not None
        model.set_submodule(name, layer(*sizes, form.compute_dtype, quant_type=form.quant_type, device="meta"))


def parameters_to_fill(model: Any) -> dict[str, nn.Parameter]:
    """The parameters still to fill, each once (a tied head is its embedding), the large 16-bit ones first.

    First, because copying a tensor briefly needs it twice, and little else is held at the start.
    """

    def order(item: tuple[str, nn.Parameter]) -> tuple[bool, int]:
        name, parameter = item
        return is_four_bit(owner_of(model, name), name), -parameter.numel()

    return dict(sorted(model.named_parameters(), key=order))


def frozen(tensor: Tensor) -> nn.Parameter:
    """`tensor` as a parameter that is not trained."""
    return nn.Parameter(tensor, requires_grad=False)


def owner_of(model: Any, name: str) -> Any:
    """The module that holds the parameter of that name."""
    return model.get_submodule(name.rpartition(".")[0])


def is_four_bit(owner: Any, name: str) -> bool:
    """The weight of a Linear in 4 bits; its bias stays in 16 or 32."""
    return isinstance(owner, bnb.nn.Linear4bit) and name.endswith(".weight")


def is_embedding_or_head(model: Any, owner: Any) -> bool:
    """Embeddings and head: as many numbers as a seventh of a 7B, and not quantized."""
    return isinstance(owner, nn.Embedding) or owner is model.get_output_embeddings()


def put(model: Any, name: str, parameter: nn.Parameter) -> None:
    """Put a filled parameter in its place."""
    owner, leaf = owner_of(model, name), name.rpartition(".")[2]
    setattr(owner, leaf, parameter)
    if hasattr(parameter, "quant_state"):
        owner.quant_state = parameter.quant_state


def wide_dtype(given: torch.dtype, compute: torch.dtype) -> torch.dtype:
    """How embeddings and head are held: never wider than the file has them (2 GB of a 7B, 4 GB in fp32)."""
    return given if compute == torch.float32 and given in (torch.bfloat16, torch.float16) else compute


def finished(model: Any, form: Format, fingerprint: str | None) -> Any:
    """Tie, and let 16-bit embeddings and head take part in fp32 work; `fingerprint` stands for the frozen bytes.

    A model in 4 bits is frozen; in 16 or 32 every weight may be trained, as transformers' own loading leaves it.
    """
    model.tie_weights()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if embedding.weight.dtype != form.compute_dtype:
        embedding.register_forward_hook(partial(widened, dtype=form.compute_dtype))
    if head.weight.dtype != form.compute_dtype:
        wide = WidenedLinear(head.in_features, head.out_features, head.bias is not None, device="meta")
        wide.weight, wide.bias = head.weight, head.bias
        model.set_output_embeddings(wide)
    # The rotary angles were computed on the CPU.
    for module in model.modules():
        module._buffers |= {n: b.to(form.device) for n, b in module._buffers.items() if b is not None}
    if form.quant_type:
        describe(model, form)
    if fingerprint:
        model.base_fingerprint = fingerprint
    return model.requires_grad_(not form.quant_type).eval()


def describe(model: Any, form: Format) -> None:
    """What transformers and PEFT ask a model when they want to know whether it is in 4 bits."""
    from transformers import BitsAndBytesConfig

    model.is_loaded_in_4bit = True
    model.config.quantization_config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=form.quant_type,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=form.compute_dtype,
    )


def widened(module: nn.Module, inputs: Any, output: Tensor, dtype: torch.dtype) -> Tensor:
    """A hook of the embedding: what it gives, in `dtype`."""
    return output.to(dtype)


def shown(names: dict[str, nn.Parameter], label: str) -> Iterator[str]:
    """The names one by one, under a progress bar that counts weights."""
    from tqdm.auto import tqdm

    total = sum(p.numel() for p in names.values())
    with tqdm(total=total, unit="weight", unit_scale=True, leave=False, disable=total < 1e9) as bar:
        bar.set_description(label)  # given as desc, a notebook would take it for HTML
        for name, parameter in names.items():
            yield name
            bar.update(parameter.numel())


MANIFEST = "made_from.json"
# Bytes of a file of kept 4-bit weights, about one block of a 7B.
_SHARD = 1 << 28


def keep(
    filled: Iterable[tuple[str, nn.Parameter]],
    model: Any,
    form: Format,
    place: Path,
    made_from: dict[str, Any],
    needed: int,
) -> None:
    """Write the parameters of `model` as they are filled: the folder `place` appears when all is there.

    `made_from` says what they were made from, in JSON's types; `needed` is how many bytes they will take.
    Raises ModelError when the disk is short or fills up, and then leaves nothing.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the 4-bit weights could not be kept in {place.parent} ({error}): {cache_advice(error)}."
        ) from error
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise Unavailable(
            f"the 4-bit weights need {needed / 1e9:.1f} GB in {place.parent} and {free / 1e9:.1f} GB is free: "
            "make room, or set LORA_LESSONS_CACHE to another disk."
        )
    try:
        with whole_folder(place) as new:
            _write(filled, new, made_from)
            describe(model, form)
            model.config.save_pretrained(new)
    except (OSError, SafetensorError) as error:
        raise Unavailable(
            f"the 4-bit weights could not be kept in {place.parent} ({error}): "
            f"{cache_advice(error, f'{needed / 1e9:.1f} GB')}."
        ) from error


def _write(filled: Iterable[tuple[str, nn.Parameter]], folder: Path, made_from: dict[str, Any]) -> None:
    """Shards of about _SHARD bytes, their index, and the manifest with their hashes."""
    index: dict[str, str] = {}
    shard: dict[str, Tensor] = {}
    for name, parameter in filled:
        shard[name] = parameter.detach()
        if state := getattr(parameter, "quant_state", None):
            shard |= {f"{name}.{part}": tensor for part, tensor in state.as_dict(packed=True).items()}
        if sum(t.nbytes for t in shard.values()) >= _SHARD:
            shard = _write_shard(shard, folder, index)
    _write_shard(shard, folder, index)
    hashes = {file: sha256(folder / file) for file in sorted(set(index.values()))}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({**made_from, "sha256": hashes}), encoding="utf-8")


def _write_shard(shard: dict[str, Tensor], folder: Path, index: dict[str, str]) -> dict[str, Tensor]:
    """Write `shard` as the next file, note in `index` what it holds, and return an empty one."""
    if shard:
        file = f"model-{len(set(index.values())) + 1:05d}.safetensors"
        save_file(
            {n: t.as_subclass(Tensor).cpu().contiguous() for n, t in shard.items()}, folder / file, {"format": "pt"}
        )
        index |= dict.fromkeys(shard, file)
    return {}


def kept_files(place: Path, made_from: dict[str, Any]) -> list[Path] | None:
    """The files of an earlier `keep`, or None where there are none, the source has changed, or a byte is wrong."""
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        hashes = manifest.pop("sha256")
        if manifest != made_from:
            return None
        wrong = [name for name, expected in hashes.items() if sha256(place / name) != expected]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if wrong:
        print(f"{wrong[0]} in {place.name} is damaged: the 4-bit weights are made anew.", file=sys.stderr)
        return None
    return [place / name for name in hashes]
