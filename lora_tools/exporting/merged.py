"""A merged model as a Hugging Face folder: W + ΔW of every adapted layer in bf16, one tensor in memory at a time.

What PEFT's `merge_and_unload` makes of a base in fp32, rounded once to bf16.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.torch import save_file
from torch import Tensor

from lora_lessons.adapter import Adapter
from lora_lessons.errors import ModelError
from lora_lessons.files import check_replaced, refuse_existing, whole_folder, write_text
from lora_lessons.models.configs import read_config
from lora_lessons.models.weights import INDEX, SINGLE, read_tensor, shapes_in, weight_files

from .gguf.file import check_room
from .gguf.source import adapter_and_base

SHARD = 5_000_000_000  # bytes of a file, but where one tensor is larger
# Beside the weights, what a model's folder holds for its readers; of the tokenizer's the adapter may have its own.
TOKENIZER = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja"),
)
OTHERS = ("generation_config.json", "preprocessor_config.json", "processor_config.json")


def export(
    adapter: Path | str, out: Path | str, base: Path | str | None = None, *, overwrite: bool = False
) -> tuple[list[Path], list[str]]:
    """Write the model of `base` with `adapter` merged into it to the folder `out`; its files, and what to know of them.

    `base` is as in `gguf.named_base`. All of it appears, or nothing. Raises ModelError for a base in 4 or 8 bits, or
    one that is not the adapter's; ValueError where an adapter is more than scale·B·A, FileExistsError where `out` may
    not be replaced.
    """
    out = Path(out)
    refuse_existing(out, overwrite)
    read, place = adapter_and_base(adapter, base)
    tensors = _tensors(read, place)
    where = {name: file for name, (file, _) in tensors.items()}
    split = split_state_dict_into_shards_factory(
        {name: torch.Size(shape) for name, (_, shape) in tensors.items()},
        get_storage_size=_bytes,
        filename_pattern=SINGLE.replace(".", "{suffix}."),
        max_shard_size=SHARD,
    )
    tokenizer = Path(adapter) if (Path(adapter) / TOKENIZER[0]).is_file() else place
    beside = [
        one for one in [*(tokenizer / name for name in TOKENIZER), *(place / name for name in OTHERS)] if one.is_file()
    ]
    check_replaced(out, ["config.json", SINGLE, INDEX, *split.filename_to_tensors, *(one.name for one in beside)])
    check_room(out, split.metadata["total_size"])
    with whole_folder(out) as folder, torch.no_grad():
        for file, names in split.filename_to_tensors.items():
            save_file({name: _merged(read, where, name) for name in names}, folder / file, {"format": "pt"})
        if split.is_sharded:
            index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
            write_text(folder / INDEX, json.dumps(index, indent=1))
        settings: dict[str, Any] = read_config(place) | {"dtype": "bfloat16"}
        settings.pop("torch_dtype", None)
        write_text(folder / "config.json", json.dumps(settings, indent=1))
        for one in beside:
            shutil.copyfile(one, folder / one.name)
    notes = [
        f"Merged into {len(read.A)} layers of {place.name}, in bf16; its tokenizer and template are {tokenizer.name}'s."
    ]
    return sorted(out.iterdir()), notes


def _tensors(adapter: Adapter, base: Path) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """The file and shape of each tensor of `base`. Raises ModelError where `adapter` cannot be merged into it."""
    packed = base.is_file() or read_config(base).get("quantization_config")
    if packed:
        raise ModelError(
            f"{base.name} is packed in few bits, and a merge would be rounded to them again, which takes most of an "
            "adapter's change away (lesson 09): name with --base the 16-bit model that it was made from."
        )
    tensors = shapes_in(weight_files(base))
    for layer, A in adapter.A.items():
        shape = tensors.get(f"{layer}.weight", ("", ()))[1]
        if shape != (len(adapter.B[layer]), A.shape[1]):
            tied = layer.endswith("lm_head") and not shape
            why = "is its embedding here (tied), so it cannot change alone" if tied else f"has the shape {shape} there"
            raise ModelError(f"{layer}, which the adapter changes, {why}: {base.name} is not a base to merge it into.")
    return tensors


def _bytes(shape: torch.Size) -> int:
    """What a tensor of this shape takes in bf16."""
    return 2 * shape.numel()


def _merged(adapter: Adapter, where: dict[str, Path], name: str) -> Tensor:
    """One tensor of the merged model. Raises ModelError where a number of it is not finite."""
    layer, W = name.removesuffix(".weight"), read_tensor(where, name)
    if layer in adapter.A and name.endswith(".weight"):
        W = W.float() + adapter.delta(layer).float()
        if not W.isfinite().all():
            raise ModelError(
                f"{name}: the merged weight is not finite, as `lora-lessons inspect` would say: not written."
            )
    return W.to(torch.bfloat16).contiguous() if W.is_floating_point() else W.clone()
