"""The formats that an adapter is exported to, merged, and the tools that write them, each in an environment of its own.

These tools pin other versions than the course's. A worker runs in one: its progress is shown, its answer read.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons import fetching
from lora_lessons.errors import ModelError, cache_advice
from lora_lessons.files import scratch, write_text
from lora_lessons.llamacpp.compute import python_path
from lora_lessons.machine import kernel_environment, version
from lora_lessons.paths import cache_dir

COMPLETE = "complete.json"  # written last: an environment without it was interrupted, and is made again


class Environment(NamedTuple):
    """The exact packages of an environment, besides torch and what the course has; bytes fetched and on disk."""

    packages: tuple[str, ...]
    fetched: int
    disk: int
    sources: tuple[str, ...] = ()  # packages that come as source, not as a wheel


ON_X86_LINUX = "platform_system == 'Linux' and platform_machine == 'x86_64'"

# Every version that the tools were proven with. pip resolves nothing here: these and no others.
ENVIRONMENTS: dict[str, Environment] = {
    "gptq-awq": Environment(
        (
            "llmcompressor==0.14.0.1",
            "auto-round==0.15.1",
            f"auto-round-lib==0.16.0; {ON_X86_LINUX}",
            "accelerate==1.15.0",
            "compressed-tensors==0.19.0",
            "transformers==5.17.0",
            "huggingface-hub==1.33.0",
            "tokenizers==0.23.3",
            "safetensors==0.8.0",
            "datasets==5.2.0",
            "pyarrow==26.0.1",
            "pandas==3.1.1",
            "pydantic==2.14.4",
            "pydantic-core==2.50.5",
            "annotated-types==0.8.0",
            "typing-inspection==0.4.5",
            "dill==0.4.1",
            "multiprocess==0.70.19",
            "xxhash==4.1.0",
            "loguru==0.7.3",
            "nvidia-ml-py==13.615.71",
            "py-cpuinfo==9.0.0",
        ),
        fetched=100_000_000,
        disk=480_000_000,
    ),
    "hqq": Environment(
        ("hqq==0.2.8.post1", "einops==0.8.2", "termcolor==3.3.0"), fetched=150_000, disk=1_000_000, sources=("hqq",)
    ),
}


def folder(name: str) -> Path:
    """Where the environment `name` lies. Raises ValueError for an unknown name."""
    if name not in ENVIRONMENTS:
        raise ValueError(f"no environment is named {name!r}: choose from {', '.join(ENVIRONMENTS)}.")
    return cache_dir() / "environments" / name


def ready(name: str) -> bool:
    """Whether the environment `name` is complete, for this Python, this torch and these packages."""
    try:
        marker = json.loads((folder(name) / COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return bool(marker.get("made_for") == _made_for(name))


def python(name: str) -> Path:
    """The interpreter of the environment `name`, which is made first where it is not complete.

    Raises ModelError with what to do when there is no network or too little disk; what was begun is then removed.
    """
    from filelock import FileLock

    where = folder(name)
    if not ready(name):
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(str(where) + ".lock"):
                if not ready(name):
                    _make(name, where)
        except OSError as error:
            raise ModelError(
                f"the environment {name} could not be made in {where.parent} ({error}): {cache_advice(error)}."
            ) from error
    return _interpreter(where)


def variables() -> dict[str, str]:
    """The environment variables for a program in one of these environments: no path of ours, no model hub."""
    return _without_paths(kernel_environment()) | {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONNOUSERSITE": "1",
    }


def _without_paths(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _make(name: str, where: Path) -> None:
    """Build in place, since an environment cannot be moved; COMPLETE comes last, and a failure leaves nothing."""
    wanted = ENVIRONMENTS[name]
    free = shutil.disk_usage(where.parent).free
    if free < wanted.disk + wanted.fetched:
        raise ModelError(
            f"the environment {name} needs {(wanted.disk + wanted.fetched) / 1e6:,.0f} MB in {where.parent} and "
            f"{free / 1e6:,.0f} MB is free: make room, or set LORA_LESSONS_CACHE to another disk."
        )
    shutil.rmtree(where, ignore_errors=True)
    tools = wanted.packages[0].partition(";")[0]
    say(f"Preparing the environment {name} ({tools} …), once: fetch {wanted.fetched / 1e6:,.1f} MB …")
    begun = time.perf_counter()
    try:
        _run([sys.executable, "-m", "venv", "--without-pip", str(where)], "make a virtual environment")
        library = next(where.glob("lib*/python*/site-packages"), where / "Lib" / "site-packages")
        (library / "course.pth").write_text("".join(f"{path}\n" for path in _underneath()), encoding="utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(_interpreter(where)),
            "install",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            "--no-warn-conflicts",
            "--only-binary",
            ":all:",
        ]
        pip += [word for source in wanted.sources for word in ("--no-binary", source)]
        _run([*pip, *wanted.packages], "fetch its packages with pip")
        size = sum(file.lstat().st_size for file in where.rglob("*") if file.is_file())
        write_text(
            where / COMPLETE,
            json.dumps(
                {"made_for": _made_for(name), "bytes": size, "seconds": round(time.perf_counter() - begun, 1)}, indent=1
            )
            + "\n",
        )
    except BaseException:
        shutil.rmtree(where, ignore_errors=True)
        raise
    say(f"Ready after {time.perf_counter() - begun:.0f} s, {size / 1e6:,.0f} MB.")


def _run(command: list[str], what: str) -> None:
    done = fetching.run(command, _without_paths(os.environ))
    if done.offline:
        raise ModelError(f"could not {what}: {fetching.OFFLINE}. Connect, and run again.")
    if not done.ok:
        raise ModelError(f"could not {what} ({done.reason}). Is there a network? Connect, and run again.")


def _made_for(name: str) -> dict[str, Any]:
    return {
        "packages": list(ENVIRONMENTS[name].packages),
        "python": platform.python_version(),
        "torch": version("torch"),
        "underneath": _underneath(),
    }


def _underneath() -> list[str]:
    """The folders that the course's own packages are in."""
    places = {Path(path).resolve() for path in [*site.getsitepackages(), site.getusersitepackages()]}
    return [path for path in sys.path if path and Path(path).resolve() in places and Path(path).is_dir()]


def _interpreter(where: Path) -> Path:
    return where / "Scripts" / "python.exe" if os.name == "nt" else where / "bin" / "python"


def say(line: str) -> None:
    """A line for the learner, beside what a program answers."""
    print(line, file=sys.stderr, flush=True)


OK, FAILED, PUBLISHED = "ok", "failed", "published"  # how a row of the table ended


class FileFormat(NamedTuple):
    """A format: the worker that writes and reads it, the worker's environment, and what to know before choosing it."""

    worker: str
    environment: str  # "": the course's own
    notes: str


FORMATS: dict[str, FileFormat] = {
    "gguf-f16": FileFormat("llama_worker.py", "", "the reference of the GGUF rows"),
    "gguf-q8_0": FileFormat("llama_worker.py", "", "embeddings are rounded too"),
    "gguf-q4_k_m": FileFormat("llama_worker.py", "", "embeddings are rounded too"),
    "gguf-q4_0": FileFormat("llama_worker.py", "", "embeddings are rounded too"),
    "gptq": FileFormat("gptq_worker.py", "gptq-awq", "calibrated; on a CPU unpacked to 16 bits at the first forward"),
    "awq": FileFormat("awq_worker.py", "gptq-awq", "calibrated; int4 kernels on x86 processors"),
    "hqq": FileFormat("hqq_worker.py", "hqq", "no calibration; on a CPU every weight is unpacked anew for every token"),
    "exl2": FileFormat("", "", "needs a CUDA card and exllamav2"),
}
LLAMA_CPP = [name for name in FORMATS if name.startswith("gguf-")]


def chosen(names: Iterable[str]) -> list[str]:
    """The formats that `names` mean ("gguf" is all of llama.cpp's). Raises ValueError for an unknown name."""
    wanted = [one for name in names for one in (LLAMA_CPP if name == "gguf" else [name])]
    if not wanted or (unknown := [one for one in wanted if one not in FORMATS]):
        reason = f"format {unknown[0]!r} is not known" if wanted else "no format is named"
        raise ValueError(f"{reason}: choose from gguf, {', '.join(FORMATS)}.")
    return list(dict.fromkeys(wanted))


WORKERS = Path(__file__).parent / "workers"
STILL_AT_WORK = 20  # seconds between two lines that say how far a tool is


def work(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the worker of the format `name` on `job`, in its environment; show its progress, return its answer.

    Raises ModelError with the worker's last words when it ends without an answer.
    """
    form = FORMATS[name]
    if form.environment:
        program, environment = str(python(form.environment)), variables()
    else:
        program, environment = sys.executable, kernel_environment() | {"PYTHONPATH": python_path()}
    with scratch("formats") as place, open(place / "stderr", "w+b") as chatter:
        file, answer = place / "job.json", place / "answer.json"
        file.write_text(json.dumps(dict(job) | {"answer": str(answer)}), encoding="utf-8")
        command = [program, str(WORKERS / form.worker), str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=chatter, env=environment, cwd=place) as process:
            reader = threading.Thread(target=_relay, args=(name, process), daemon=True)
            reader.start()
            begun = time.monotonic()
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(STILL_AT_WORK)
                    if process.poll() is None:
                        say(f"{name}: {_bar(Path(chatter.name))}{time.monotonic() - begun:.0f} s …")
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
    for line in process.stdout:
        if line.startswith(b"progress: "):
            say(f"{name}: {line.decode(errors='replace').partition(': ')[2].strip()} …")


def _bar(chatter: Path) -> str:
    """How far the last progress bar in the tool's own output has come, in words; empty where there is none."""
    tail = chatter.read_bytes()[-4000:].decode(errors="replace")
    bars = re.findall(r"([^\r\n|]*\d+%)\|", tail)
    return f"{bars[-1].strip()}, " if bars else ""
