"""A merged adapter in other formats, by the real tools: quantized, loaded back by a real loader, and measured.

adapter ─┐
         ├─ merge in fp32 → bf16 folder ─┬─ GPTQ  llmcompressor ─┐   each tool in its own
16-bit ──┘                               ├─ AWQ   auto-round     ├─→ environment, loaded back in
                                         ├─ HQQ   hqq            │   a new process → size,
                                         └─ GGUF  llama.cpp      ┘   perplexity, tokens/s

The embedded base lies on a Q4_1 grid already; format_table.BASE_NOTE says what that means for the figures.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import lora, models, tasks
from ..adapter import Adapter, attach_adapter, read_adapter
from ..errors import ModelError
from ..files import whole_folder
from ..machine import kernel_environment
from ..paths import course_root
from . import environments, format_table, gguf

WORKERS = Path(__file__).parent / "workers"
WINDOW, GROUP_SIZE, PROMPT_TOKENS = 256, 64, 32  # groups of 64: 128 does not divide the base's rows of 576
MERGED, REFERENCE = "merged", "merged-f16.gguf"
OK, FAILED, PUBLISHED = "ok", "failed", "published"
STILL_AT_WORK = 20  # seconds between two lines that say how far a tool is


class Format(NamedTuple):
    """A format: the worker that writes and reads it, the worker's environment, and what to know before choosing it."""

    worker: str
    environment: str  # "": the course's own
    notes: str


FORMATS: dict[str, Format] = {
    "gguf-f16": Format("llama_worker.py", "", "the reference of the GGUF rows"),
    "gguf-q8_0": Format("llama_worker.py", "", "embeddings are rounded too"),
    "gguf-q4_k_m": Format("llama_worker.py", "", "embeddings are rounded too"),
    "gguf-q4_0": Format("llama_worker.py", "", "embeddings are rounded too"),
    "gptq": Format("gptq_worker.py", "gptq-awq", "calibrated; on a CPU unpacked to 16 bits at the first forward"),
    "awq": Format("awq_worker.py", "gptq-awq", "calibrated; int4 kernels on x86 processors"),
    "hqq": Format("hqq_worker.py", "hqq", "no calibration; on a CPU every weight is unpacked anew for every token"),
    "exl2": Format("", "", "needs a CUDA card and exllamav2"),
}
LLAMA_CPP = [name for name in FORMATS if name.startswith("gguf-")]


def chosen(names: Iterable[str]) -> list[str]:
    """The formats that `names` mean ("gguf" is all of llama.cpp's). Raises ValueError for an unknown name."""
    found = [one for name in names for one in (LLAMA_CPP if name == "gguf" else [name])]
    if not found or (unknown := [one for one in found if one not in FORMATS]):
        said = f"format {unknown[0]!r} is not known" if found else "no format is named"
        raise ValueError(f"{said}: choose from gguf, {', '.join(FORMATS)}.")
    return list(dict.fromkeys(found))


def write_merged(adapter: Adapter, base: str | Path, out: Path | str, *, overwrite: bool = False) -> Path:
    """Write the base with `adapter` folded in, W + ΔW in fp32 and then bf16, as a Hugging Face folder. Returns `out`.

    Raises FileExistsError when `out` exists and overwrite is False, ValueError when the adapter does not fit.
    """
    _refuse(Path(out), overwrite)
    there = models.load(base, "fp32", "cpu")
    attach_adapter(there.model, adapter)
    lora.merge(there.model)
    with whole_folder(out) as temporary:
        there.model.to(torch.bfloat16).save_pretrained(temporary)
        there.tokenizer.save_pretrained(temporary)
    return Path(out)


def calibration(tokenizer: Any, files: Sequence[Path | str], rows: int, window: int = WINDOW) -> list[list[int]]:
    """`rows` windows of token ids from the files in turn: conversations (.jsonl) in the chat template, or paragraphs.

    Raises ValueError when a file holds what perplexity is measured on, or all of them hold too little text.
    """
    measured, queues = tasks.general_text(), []
    for file in map(Path, files):
        if file.suffix == ".jsonl":
            talks = [example["messages"] for example in tasks.read_jsonl(file)]
            queues.append([tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks])
        else:
            queues.append([part.strip() for part in file.read_text(encoding="utf-8").split("\n\n") if part.strip()])
        if any(text in measured for text in queues[-1]):
            raise ValueError(f"{file} holds text that perplexity is measured on: calibrate on something else.")
    ids: list[int] = []
    for i in range(max(map(len, queues), default=0)):
        for queue in queues:
            if i < len(queue) and len(ids) < rows * window:
                ids += tokenizer(queue[i], add_special_tokens=False)["input_ids"]
    if len(ids) < window:
        raise ValueError(f"the calibration text has {len(ids)} tokens, and one window is {window}: give more text.")
    return [ids[i : i + window] for i in range(0, min(len(ids), rows * window) - window + 1, window)]


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
    about: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Merge, quantize into each of `formats`, load back and measure; the rows, also in out/formats.csv and .json.

    `base` is the embedded one, a folder or a hub id; None: the one that the adapter names. Calibration: `rows` windows
    of 256 tokens (AWQ's search, far slower, reads `awq_rows`) from the files `calibrate`; None: every task's training
    set. `about` goes into the .json. A format whose tool fails is a row that says why, and the others go on.
    Raises FileExistsError, ModelError or ValueError with what to do when nothing can be done at all.
    """
    names, out = chosen(formats), Path(out)
    adapter = read_adapter(adapter_folder)
    folder = models.folder(base or adapter.base_name or models.EMBEDDED)
    for path in (out / MERGED, out / REFERENCE, *(_target(out, name) for name in names), out / format_table.TABLE):
        _refuse(path, overwrite)
    files = list(calibrate or sorted((course_root() / "data").glob("*/train.jsonl")))
    _say(f"Merging {adapter.name} into {folder.name} …")
    merged = write_merged(adapter, folder, out / MERGED, overwrite=True)
    if any(name in LLAMA_CPP for name in names):
        gguf.write_merged(folder, adapter, out / REFERENCE, "f16", overwrite=True)
    job = _job(merged, files, rows if {"gptq", "awq"} & set(names) else 0) | {
        "awq_rows": awq_rows,
        "new_tokens": new_tokens,
    }
    described = {
        "what": "one row a format; bits a weight counted from the files, perplexity on the general text",
        "command": "lora-lessons export formats ADAPTER --out DIR", "adapter": adapter.name, "base": folder.name,
        "dtype": job["dtype"], "group_size": GROUP_SIZE, "threads": job["threads"], "new_tokens": new_tokens,
        "calibration": [f"{Path(file).parent.name}/{Path(file).name}" for file in files],
        "calibration_tokens": sum(map(len, job["calibration"])), "note": format_table.BASE_NOTE,
        "date": date.today().isoformat(), **(about or {}),
        "environments": {name: list(environments.ENVIRONMENTS[name].packages) for name in environments.ENVIRONMENTS},
    }  # fmt: skip
    found: list[dict[str, Any]] = []
    for name in names:
        found.append({"format": name, "notes": FORMATS[name].notes} | _row(name, job, out))
        _say(format_table.line(found[-1]))
        format_table.write(found, out / format_table.TABLE, described)
    return found


def _job(merged: Path, files: Sequence[Path | str], rows: int) -> dict[str, Any]:
    """What every worker is handed: token ids and numbers, so that it needs nothing of the course."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(merged, trust_remote_code=False)
    ids = tokenizer(tasks.general_text(), add_special_tokens=False)["input_ids"]
    windows = [ids[i : i + WINDOW] for i in range(0, len(ids), WINDOW)]
    return {
        "source": str(merged), "windows": [window for window in windows if len(window) > 1], "prompt": ids[:PROMPT_TOKENS],
        "calibration": calibration(tokenizer, files, rows) if rows else [], "group_size": GROUP_SIZE, "threads": torch.get_num_threads(),
        "dtype": {"fp32": "float32", "bf16": "bfloat16"}[models.best_precision().name],
    }  # fmt: skip


def _target(out: Path, name: str) -> Path:
    return out / (f"merged-{name.removeprefix('gguf-')}.gguf" if name in LLAMA_CPP else name)


def _row(name: str, job: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Write the format `name` and measure what was written; a failure of the tool becomes a row of its own."""
    target = _target(out, name)
    try:
        if name == "exl2":
            return exl2(out / MERGED, target)
        made = _gguf(name, out) if name in LLAMA_CPP else _quantize(name, job, target)
        source = {"source": str(out / REFERENCE)} if name in LLAMA_CPP else {}
        _say(f"{name}: loading it back …")
        found = made | work(name, dict(job) | source | {"do": "measure", "target": str(target)})
    except (ModelError, OSError) as error:
        return {"status": FAILED, "notes": str(error)}
    if name in LLAMA_CPP:
        *bits, types = format_table.gguf_bits(target)
        found |= {"notes": f"{FORMATS[name].notes}; the blocks' matrices: {types}"}
    else:
        bits = list(format_table.safetensors_bits(target, out / MERGED))
    files = [target] if target.is_file() else list(target.glob("*.safetensors"))
    return found | {
        "status": OK, "bits_in_file": bits[0], "bits_in_layers": bits[1], "mb": sum(f.stat().st_size for f in files) / 1e6,
        "speed_ratio": found["tokens_per_second"] / found["reference_tokens_per_second"],
    }  # fmt: skip


def _gguf(name: str, out: Path) -> dict[str, Any]:
    """llama.cpp's type `name` from the merged F16 GGUF, by llama.cpp itself."""
    begun = time.perf_counter()
    if _target(out, name) != out / REFERENCE:
        gguf.quantize(out / REFERENCE, _target(out, name), name.removeprefix("gguf-").upper(), overwrite=True)
    version = metadata.version("llama-cpp-py-sync")
    return {
        "tool": "llama.cpp (llama-cpp-py-sync)", "version": version, "loader": f"llama.cpp (llama-cpp-py-sync {version})",
        "quantize_seconds": round(time.perf_counter() - begun, 1),
    }  # fmt: skip


def _quantize(name: str, job: Mapping[str, Any], target: Path) -> dict[str, Any]:
    with whole_folder(target) as temporary:
        made = work(name, dict(job) | {"do": "quantize", "target": str(temporary)})
        for file in Path(job["source"]).glob("*"):  # the tokenizer and the chat template, which some tools leave out
            if (
                file.suffix != ".safetensors"
                and not file.name.startswith("model.")
                and not (temporary / file.name).exists()
            ):
                shutil.copy2(file, temporary)
    return made


def work(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the worker of the format `name` on `job`, in its environment; show its progress, return its answer.

    Raises ModelError with the worker's last words when it ends without an answer.
    """
    form = FORMATS[name]
    program = str(environments.python(form.environment)) if form.environment else sys.executable
    variables = environments.variables() if form.environment else kernel_environment()
    with tempfile.TemporaryDirectory() as place, open(Path(place) / "stderr", "w+b") as chatter:
        file, answer = Path(place) / "job.json", Path(place) / "answer.json"
        file.write_text(json.dumps(dict(job) | {"answer": str(answer)}), encoding="utf-8")
        command = [program, str(WORKERS / form.worker), str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=chatter, env=variables, cwd=place) as process:
            reader = threading.Thread(target=_relay, args=(name, process), daemon=True)
            reader.start()
            begun = time.monotonic()
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(STILL_AT_WORK)
                    if process.poll() is None:
                        _say(f"{name}: {_bar(Path(chatter.name))}{time.monotonic() - begun:.0f} s …")
            finally:
                process.kill()  # when the learner stops us; it has ended by itself otherwise
            reader.join()
        if process.returncode == 0 and answer.is_file():
            return json.loads(answer.read_text(encoding="utf-8"))
        chatter.seek(0)
        words = [one for one in chatter.read().decode(errors="replace").splitlines() if one.strip()] or ["no message"]
    how = "was killed, probably for the memory it took" if process.returncode in (-9, 137) else words[-1][:300]
    raise ModelError(f"{form.worker} could not {job.get('do', 'measure')} {name}: {how}")


def _relay(name: str, process: subprocess.Popen[bytes]) -> None:
    """Show the worker's own lines of progress; what its libraries print is left out."""
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith(b"progress: "):
            _say(f"{name}: {said.decode(errors='replace').partition(': ')[2].strip()} …")


def _bar(chatter: Path) -> str:
    """How far the last progress bar in the tool's own output has come, in words; empty where there is none."""
    tail = chatter.read_bytes()[-4000:].decode(errors="replace")
    bars = re.findall(r"([^\r\n|]*\d+%)\|", tail)
    return f"{bars[-1].strip()}, " if bars else ""


def exl2_commands(merged: Path | str, out: Path | str, bits: float = 4.0) -> list[str]:
    """The shell commands that make and try an EXL2 model, as exllamav2 0.3.2 publishes them; for a machine with CUDA."""
    source, target = (shlex.quote(str(path)) for path in (merged, out))
    work = shlex.quote(f"{out}-work")
    return [
        "pip install exllamav2==0.3.2",
        f"mkdir -p {work} {target}",
        f"python -m exllamav2.conversion.convert_exl2 -i {source} -o {work} -cf {target} -b {bits:g}",
    ]


def exl2(merged: Path, out: Path) -> dict[str, Any]:
    """Run EXL2's conversion where a CUDA card and exllamav2 are; elsewhere the row holds the published commands."""
    commands = exl2_commands(merged.name, out.name)
    if not torch.cuda.is_available() or importlib.util.find_spec("exllamav2") is None:
        return {"status": PUBLISHED, "tool": "exllamav2", "version": "0.3.2",
                "notes": f"{FORMATS['exl2'].notes}; not run here. {' && '.join(commands)}"}  # fmt: skip
    begun = time.perf_counter()
    for command in exl2_commands(merged, out)[1:]:
        words = shlex.split(command)
        words = [sys.executable, *words[1:]] if words[0] == "python" else words
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"exllamav2 failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:300]}")
    size = sum(file.stat().st_size for file in out.glob("*.safetensors")) / 1e6
    return {
        "status": "converted", "tool": "exllamav2", "version": metadata.version("exllamav2"), "mb": size,
        "quantize_seconds": round(time.perf_counter() - begun, 1), "notes": "converted on this card; not measured",
    }  # fmt: skip


def _refuse(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another folder, or pass --overwrite to replace it.")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
