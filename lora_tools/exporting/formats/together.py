"""Merge an adapter into its base, and write and measure the result in every format asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lora_lessons import lora, models
from lora_lessons.adapter import Adapter, attach_adapter
from lora_lessons.errors import ModelError
from lora_lessons.files import check_replaced, refuse_existing, whole_folder
from lora_lessons.machine import stamp
from lora_lessons.paths import course_root

from .. import gguf
from . import environments, table
from .environments import FORMATS, LLAMA_CPP, chosen, say
from .rows import GROUP_SIZE, MERGED, REFERENCE, job_for, row, target

NEEDS_TEXT = {"gptq", "awq"}


def export(
    adapter_folder: Path | str,
    out: Path | str,
    formats: Sequence[str] = tuple(FORMATS),
    base: str | Path | None = None,
    calibrate: Sequence[Path | str] | None = None,
    *,
    rows: int = 64,
    awq_rows: int = 16,
    new_tokens: int = 64,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Merge, quantize into each of `formats`, load back and measure; the rows, also in out/formats.csv and .json.

    `base` is the embedded one, one of models.NAMED, a folder or a hub id; None: the one that the adapter names.
    Calibration: `rows` windows of 256 tokens (AWQ's search, far slower, reads `awq_rows`) from the files `calibrate`;
    None: every task's training set. A format whose tool fails is a row that says why, and the others go on. Raises
    FileExistsError, ModelError or ValueError with what to do when nothing can be done at all.
    """
    names = chosen(formats)
    # workers start in folders of their own, where a relative path would mean another place
    out = Path(out).resolve()
    adapter, place = gguf.adapter_and_base(adapter_folder, base)
    folder = models.folder(place)
    for path in (out / MERGED, out / REFERENCE, *(target(out, name) for name in names), out / table.TABLE):
        _refuse(path, overwrite)
    source = gguf.checked_base(folder, adapter) if set(LLAMA_CPP) & set(names) else None
    files = [Path(file) for file in calibrate or sorted((course_root() / "data").glob("*/train.jsonl"))]
    job = job_for(folder, out / MERGED, files, rows if NEEDS_TEXT & set(names) else 0)
    job |= {"awq_rows": awq_rows, "new_tokens": new_tokens}
    say(f"Merging {adapter.name} into {folder.name} …")
    write_merged(adapter, folder, out / MERGED, overwrite=True)
    if source is not None:
        gguf.write_merged(source, adapter, out / REFERENCE, "f16", overwrite=True)
    described = {
        "what": "one row a format; bits per weight counted from the files, perplexity on the general text",
        "command": "lora-lessons export formats ADAPTER --out DIR",
        "adapter": adapter.name,
        "base": folder.name,
        "dtype": job["dtype"],
        "group_size": GROUP_SIZE,
        "threads": job["threads"],
        "new_tokens": new_tokens,
        "calibration": [f"{file.parent.name}/{file.name}" for file in files],
        "calibration_tokens": sum(map(len, job["calibration"])),
        "note": table.BASE_NOTE,
        **stamp(),
        "environments": {name: list(made.packages) for name, made in environments.ENVIRONMENTS.items()},
    }
    written: list[dict[str, Any]] = []
    for name in names:
        written.append({"format": name, "notes": FORMATS[name].notes} | row(name, job, out))
        say(table.line(written[-1]))
        table.write(written, out / table.TABLE, described)
    return written


def write_merged(adapter: Adapter, base: str | Path, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write the base with `adapter` folded in, W + ΔW in fp32 and then bf16, as a Hugging Face folder. Returns `out`.

    Raises FileExistsError when `out` exists and overwrite is False, ValueError when the adapter does not fit,
    ModelError when the base holds NaN or infinity.
    """
    _refuse(Path(out), overwrite)
    there = models.load(base, "fp32", "cpu")
    attach_adapter(there.model, adapter)
    lora.merge(there.model)
    there.model.to(torch.bfloat16)
    if name := models.not_finite(there.model.named_parameters()):
        raise ModelError(f"{name} of {there.name} holds NaN or infinity: fetch the base again, or give another one.")
    with whole_folder(out) as temporary:
        there.model.save_pretrained(temporary)
        there.tokenizer.save_pretrained(temporary)
    return Path(out)


def _refuse(path: Path, overwrite: bool) -> None:
    refuse_existing(path, overwrite)
    if path.is_dir() and not (path / "config.json").exists():
        check_replaced(path, ())
