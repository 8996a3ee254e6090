"""4-bit weights kept on disk in transformers' own layout, so that a 7B is rounded once and read from then on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ModelError, cache_advice
from ..files import whole_folder
from ..sums import sha256
from .filling import describe
from .four_bit import Format
from .safetensors_files import INDEX

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
        raise ModelError(
            f"the 4-bit weights could not be kept in {place.parent} ({error}): {cache_advice(error)}."
        ) from error
    free = shutil.disk_usage(place.parent).free
    if free < needed:
        raise ModelError(
            f"the 4-bit weights need {needed / 1e9:.1f} GB in {place.parent} and {free / 1e9:.1f} GB is free: "
            "make room, or set LORA_LESSONS_CACHE to another disk."
        )
    try:
        with whole_folder(place) as new:
            _write(filled, new, made_from)
            describe(model, form)
            model.config.save_pretrained(new)
    except (OSError, SafetensorError) as error:
        raise ModelError(
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
        print(f"{wrong[0]} in {place.name} is damaged: the 4-bit weights are made anew.")
        return None
    return [place / name for name in hashes]
