"""One row of the table: a format written by its tool, loaded back in a new process, and measured there.

GPTQ and AWQ are calibrated on a text that perplexity is never measured on; EXL2 runs where there is a card.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lora_lessons import models, tasks
from lora_lessons.errors import ModelError
from lora_lessons.files import read_text, whole_folder
from lora_lessons.machine import version

from .. import gguf
from . import environments, table
from .environments import FAILED, FORMATS, LLAMA_CPP, OK, PUBLISHED

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
            return convert(out / MERGED, place)
        made = write(name, job, out)
        source = {"source": str(out / REFERENCE)} if name in LLAMA_CPP else {}
        environments.say(f"{name}: loading it back …")
        measured = made | environments.work(name, dict(job) | source | {"do": "measure", "target": str(place)})
    except (ModelError, OSError) as error:
        return {"status": FAILED, "notes": str(error)}
    if name in LLAMA_CPP:
        in_file, in_layers, types = table.gguf_bits(place)
        measured |= {"notes": f"{FORMATS[name].notes}; the blocks' matrices: {types}"}
    else:
        in_file, in_layers = table.safetensors_bits(place, out / MERGED)
    files = [place] if place.is_file() else list(place.glob("*.safetensors"))
    return measured | {
        "status": OK,
        "bits_in_file": in_file,
        "bits_in_layers": in_layers,
        "mb": sum(file.stat().st_size for file in files) / 1e6,
        "speed_ratio": measured["tokens_per_second"] / measured["reference_tokens_per_second"],
    }


def write(name: str, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the format `name` into the folder `out`, by its own tool; which tool that was. Raises ModelError."""
    return _by_llama_cpp(name, out) if name in LLAMA_CPP else _by_its_tool(name, job, target(out, name))


def _by_llama_cpp(name: str, out: Path) -> dict[str, Any]:
    """llama.cpp's type `name` from the merged F16 GGUF, by llama.cpp itself."""
    begun = time.perf_counter()
    if target(out, name) != out / REFERENCE:
        gguf.quantize(out / REFERENCE, target(out, name), name.removeprefix("gguf-").upper(), overwrite=True)
    installed = version("llama-cpp-py-sync")
    return {
        "tool": "llama.cpp (llama-cpp-py-sync)",
        "version": installed,
        "loader": f"llama.cpp (llama-cpp-py-sync {installed})",
        "quantize_seconds": round(time.perf_counter() - begun, 1),
    }


def _by_its_tool(name: str, job: Mapping[str, Any], place: Path) -> dict[str, Any]:
    with whole_folder(place) as temporary:
        made = environments.work(name, dict(job) | {"do": "quantize", "target": str(temporary)})
        # the tokenizer and the chat template, which some tools leave out
        for file in Path(job["source"]).iterdir():
            of_weights = file.suffix == ".safetensors" or file.name.startswith("model.")
            if not of_weights and not (temporary / file.name).exists():
                shutil.copy2(file, temporary)
    return made


WINDOW = 256  # tokens


def windows_of(tokenizer: Any, files: Sequence[Path | str], rows: int, window: int = WINDOW) -> list[list[int]]:
    """`rows` windows of token ids from the files in turn: conversations (.jsonl) in the chat template, or paragraphs.

    Raises ValueError when a file is no text in UTF-8, holds what perplexity is measured on or a conversation that the
    chat template refuses, or when all of them hold too little text.
    """
    measured, queues = tasks.general_text(), []
    for file in map(Path, files):
        if file.suffix == ".jsonl":
            talks = [example["messages"] for example in tasks.read_jsonl(file)]
            queues.append([models.rendered(tokenizer, talk, answer=False) for talk in talks])
        else:
            queues.append([part.strip() for part in read_text(file).split("\n\n") if part.strip()])
        # two or three words stand in any text
        if any(text in measured for text in queues[-1] if len(text.split()) > 3):
            raise ValueError(f"{file} holds text that perplexity is measured on: give another text to calibrate on.")
    ids: list[int] = []
    for i in range(max(map(len, queues), default=0)):
        for queue in queues:
            if i < len(queue) and len(ids) < rows * window:
                ids += tokenizer(queue[i], add_special_tokens=False)["input_ids"]
    if len(ids) < window:
        raise ValueError(f"the calibration text has {len(ids)} tokens, and one window is {window}: give more text.")
    return [ids[i : i + window] for i in range(0, min(len(ids), rows * window) - window + 1, window)]


def exl2_commands(merged: Path | str, out: Path | str, bits: float = 4.0) -> list[str]:
    """The shell commands that make and try an EXL2 model, as exllamav2 0.3.2 publishes them;
    for a machine with CUDA."""
    source, target = (shlex.quote(str(path)) for path in (merged, out))
    work = shlex.quote(f"{out}-work")
    return [
        "pip install exllamav2==0.3.2",
        f"mkdir -p {work} {target}",
        f"python -m exllamav2.conversion.convert_exl2 -i {source} -o {work} -cf {target} -b {bits:g}",
    ]


def convert(merged: Path, out: Path) -> dict[str, Any]:
    """Run EXL2's conversion where a CUDA card and exllamav2 are; elsewhere the row holds the published commands."""
    commands = exl2_commands(merged.name, out.name)
    if not torch.cuda.is_available() or importlib.util.find_spec("exllamav2") is None:
        return {
            "status": PUBLISHED,
            "tool": "exllamav2",
            "version": "0.3.2",
            "notes": f"{FORMATS['exl2'].notes}; not run here. {' && '.join(commands)}",
        }
    begun = time.perf_counter()
    for command in exl2_commands(merged, out)[1:]:
        words = shlex.split(command)
        words = [sys.executable, *words[1:]] if words[0] == "python" else words
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"exllamav2 failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:300]}")
    return {
        "status": "converted",
        "tool": "exllamav2",
        "version": version("exllamav2"),
        "mb": sum(file.stat().st_size for file in out.glob("*.safetensors")) / 1e6,
        "quantize_seconds": round(time.perf_counter() - begun, 1),
        "notes": "converted on this card; not measured",
    }
