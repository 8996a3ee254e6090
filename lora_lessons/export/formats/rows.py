"""One row of the table: a format written by its tool, loaded back in a new process, and measured there."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ... import models, tasks
from ...errors import ModelError
from ...files import whole_folder
from ...machine import version
from .. import gguf
from . import environments, exl2, process, table
from .calibration import WINDOW, windows_of
from .catalogue import FAILED, FORMATS, LLAMA_CPP, OK

GROUP_SIZE, PROMPT_TOKENS = 64, 32  # groups of 64: 128 does not divide the base's rows of 576
MERGED, REFERENCE = "merged", "merged-f16.gguf"


def job_for(base: Path, merged: Path, files: Sequence[Path], rows: int) -> dict[str, Any]:
    """What every worker is handed: token ids and numbers, so that it needs nothing of the course.

    `merged` is the folder that will hold the base and the adapter in one, with the base's tokenizer. Raises ValueError
    as windows_of does, ModelError where the base's tokenizer cannot be used.
    """
    tokenizer = models.load_tokenizer(base)
    ids = tokenizer(tasks.general_text(), add_special_tokens=False)["input_ids"]
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids), WINDOW)]
    return {
        "source": str(merged),
        "windows": [window for window in windows if len(window) > 1],
        "prompt": ids[:PROMPT_TOKENS],
        "calibration": windows_of(tokenizer, files, rows) if rows else [],
        "group_size": GROUP_SIZE,
        "threads": torch.get_num_threads(),
        "dtype": {"fp32": "float32", "bf16": "bfloat16"}[models.best_precision().name],
    }


def target(out: Path, name: str) -> Path:
    """The file or folder of the format `name` in the folder `out`."""
    return out / (f"merged-{name.removeprefix('gguf-')}.gguf" if name in LLAMA_CPP else name)


def row(name: str, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the format `name` and measure what was written; a failure of the tool becomes a row of its own."""
    place = target(out, name)
    try:
        if name == "exl2":
            return exl2.convert(out / MERGED, place)
        made = write(name, job, out)
        source = {"source": str(out / REFERENCE)} if name in LLAMA_CPP else {}
        environments.say(f"{name}: loading it back …")
        found = made | process.work(name, dict(job) | source | {"do": "measure", "target": str(place)})
    except (ModelError, OSError) as error:
        return {"status": FAILED, "notes": str(error)}
    if name in LLAMA_CPP:
        in_file, in_layers, types = table.gguf_bits(place)
        found |= {"notes": f"{FORMATS[name].notes}; the blocks' matrices: {types}"}
    else:
        in_file, in_layers = table.safetensors_bits(place, out / MERGED)
    files = [place] if place.is_file() else list(place.glob("*.safetensors"))
    return found | {
        "status": OK,
        "bits_in_file": in_file,
        "bits_in_layers": in_layers,
        "mb": sum(file.stat().st_size for file in files) / 1e6,
        "speed_ratio": found["tokens_per_second"] / found["reference_tokens_per_second"],
    }


def write(name: str, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the format `name` into the folder `out`, by its own tool; which tool that was. Raises ModelError."""
    return _by_llama_cpp(name, out) if name in LLAMA_CPP else _by_its_tool(name, job, target(out, name))


def _by_llama_cpp(name: str, out: Path) -> dict[str, Any]:
    """llama.cpp's type `name` from the merged F16 GGUF, by llama.cpp itself."""
    begun = time.perf_counter()
    if target(out, name) != out / REFERENCE:
        kind = name.removeprefix("gguf-").upper()
        gguf.quantize(out / REFERENCE, target(out, name), kind, overwrite=True)
    installed = version("llama-cpp-py-sync")
    return {
        "tool": "llama.cpp (llama-cpp-py-sync)",
        "version": installed,
        "loader": f"llama.cpp (llama-cpp-py-sync {installed})",
        "quantize_seconds": round(time.perf_counter() - begun, 1),
    }


def _by_its_tool(name: str, job: Mapping[str, Any], place: Path) -> dict[str, Any]:
    with whole_folder(place) as temporary:
        made = process.work(name, dict(job) | {"do": "quantize", "target": str(temporary)})
        # the tokenizer and the chat template, which some tools leave out
        for file in Path(job["source"]).iterdir():
            of_weights = file.suffix == ".safetensors" or file.name.startswith("model.")
            if not of_weights and not (temporary / file.name).exists():
                shutil.copy2(file, temporary)
    return made
