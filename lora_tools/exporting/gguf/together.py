"""An adapter, its base and the two merged, in every type asked for, in one go: all the files, or none of them.

An export that was killed goes on with the files that it had finished,
when the same adapter and base are exported again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_lessons import __version__
from lora_lessons.adapter import Adapter
from lora_lessons.files import refuse_existing

from .file import FILE_TYPES, all_or_none, check_room, check_type, finish_moving
from .model import adapter_tensors, check_fit, model_tensors, quantize, write_adapter, write_model
from .source import SourceModel, adapter_and_base, open_base


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

    `base` is the embedded one, one of models.NAMED, a folder or a hub id; None: the one that the adapter names. It is
    opened and proven once. Nothing is written when anything cannot be, or when a file of that name exists, unless
    overwrite. Raises FileExistsError, ModelError, OSError or ValueError with what to do.
    """
    adapter, folder = adapter_and_base(adapter_folder, base)
    source, out = open_base(folder), Path(out)
    check_fit(adapter, source)
    file_types = list({kind.lower(): kind for kind in file_types}.values())  # f16 and F16 are one
    for kind in file_types:
        check_type(kind)
    stems: dict[str, Adapter | None] = {folder.name: None}
    if merged:
        stems[f"{folder.name}-{adapter.name}"] = adapter
    names = [f"{adapter.name}-lora.gguf", *(f"{stem}-{kind}.gguf" for stem in stems for kind in file_types)]
    made_from = _made_from(adapter, source)
    if finish_moving(out, names, made_from):
        return [out / name for name in names], source.findings
    for name in names:
        refuse_existing(out / name, overwrite, "name")
    findings = source.findings
    with all_or_none(out, names, made_from) as staging:
        there = sum(file.stat().st_size for file in staging.iterdir())
        check_room(out / names[0], _bytes(source, adapter, list(stems.values()), file_types) - there)
        if not (staging / names[0]).exists():
            write_adapter(adapter, source, staging / names[0])
        for stem, merged_in in stems.items():
            _write_types(source, merged_in, staging, stem, file_types)
    return [out / name for name in names], findings


def _write_types(
    source: SourceModel, merged_in: Adapter | None, folder: Path, stem: str, file_types: Sequence[str]
) -> None:
    """One model in every type: ours directly, llama.cpp's own by way of a 16-bit file that is deleted again."""
    between = folder / f"{stem}.16-bit"
    for kind in file_types:
        out = folder / f"{stem}-{kind}.gguf"
        if out.exists():  # an export that was killed had finished it
            continue
        if kind.lower() in FILE_TYPES:
            write_model(source, merged_in, out, kind, overwrite=False)
        else:
            if not between.exists():
                write_model(source, merged_in, between, "f16", overwrite=False)
            quantize(between, out, kind)
    between.unlink(missing_ok=True)


def _bytes(
    source: SourceModel, adapter: Adapter, merged_in: Sequence[Adapter | None], file_types: Sequence[str]
) -> int:
    """Room for all the files; each of llama.cpp's own types takes at most what 16 bits take, and 16 bits on the way."""
    total = sum(plan.bytes for plan in adapter_tensors(adapter, source))
    own = [kind for kind in file_types if kind.lower() in FILE_TYPES]
    others = len(file_types) - len(own)
    for one in merged_in if file_types else ():
        for kind in own + ["f16"] * (others + bool(others)):
            total += sum(plan.bytes for plan in model_tensors(source, one, kind))
    return total


def _made_from(adapter: Adapter, source: SourceModel) -> dict[str, Any]:
    """What the files depend on: the adapter's numbers, the base's files (by size and time of change), and this code."""
    digest = hashlib.sha256(f"{adapter.name} {[adapter.scaling(layer) for layer in sorted(adapter.A)]}".encode())
    for part in (adapter.A, adapter.B):
        for name, tensor in sorted(part.items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    place = source.folder
    files = [
        (file.name, file.stat()) for file in (sorted(place.iterdir()) if place.is_dir() else [place]) if file.is_file()
    ]
    return {
        "version": __version__,
        "adapter": digest.hexdigest(),
        "base": [str(place), *([name, about.st_size, about.st_mtime_ns] for name, about in files)],
    }
