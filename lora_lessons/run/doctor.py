"""What this machine can do: each probe answers with a sentence, and one that fails says so."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import fetching, models
from ..course.learner import progress_file
from ..course.lesson import lessons, side_trips
from ..files import bytes_in
from ..machine import machine, versions
from ..paths import cache_dir
from .baselines import read_baseline


def examine() -> dict[str, dict[str, Any]]:
    """Every probe's findings by name, each with `says`, a sentence; `lessons` holds one such entry a lesson."""
    findings = {name: _safely(probe) for name, probe in _PROBES.items()}
    free = findings["memory"].get("available_bytes")
    try:
        each = {path.stem: _safely(partial(_lesson, path.stem, free)) for path in [*lessons(), *side_trips()]}
    except FileNotFoundError as error:
        each = {"(none)": {"says": str(error), "failed": True}}
    return findings | {"lessons": each}


def table(found: dict[str, dict[str, Any]]) -> str:
    """The findings as lines of text: the machine, then the lessons."""
    lines = [f"{name:<12} {about['says']}" for name, about in found.items() if name != "lessons"]
    width = max((len(name) for name in found["lessons"]), default=0)
    lines += ["", "How the lessons will run here (quick profile)"]
    return "\n".join(lines + [f"{name:<{width}}  {about['says']}" for name, about in found["lessons"].items()])


def _safely(probe: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return probe()
    except Exception as error:  # a doctor that crashes helps nobody
        why = (str(error).strip().splitlines() or ["no reason given"])[0]
        return {"says": f"could not be found out ({type(error).__name__}: {why}).", "failed": True}


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def _processor() -> dict[str, Any]:
    return {"says": machine() + ".", "cores": os.cpu_count()}


def _memory() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    says = f"{_gb(memory.available)} of {_gb(memory.total)} free."
    return {"says": says, "total_bytes": memory.total, "available_bytes": memory.available}


def _gpu() -> dict[str, Any]:
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a build without CUDA"
        says = f"none that PyTorch can use ({built}): the lessons run on the processor, smaller but the same."
        return {"says": says, "cuda": torch.version.cuda, "cards": []}
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    listed = [{"name": card.name, "bytes": card.total_memory} for card in cards]
    described = ", ".join(f"{card.name} with {_gb(card.total_memory)}" for card in cards)
    return {"says": f"{described}; CUDA {torch.version.cuda}.", "cuda": torch.version.cuda, "cards": listed}


def _sixteen_bit() -> dict[str, Any]:
    import torch

    best = models.best_precision()
    if torch.cuda.is_available():
        native = "the card supports bf16" if torch.cuda.is_bf16_supported() else "the card has no bf16"
    else:
        native = f"PyTorch runs its {torch.backends.cpu.get_cpu_capability()} kernels"
    says = f"training in {best.name}: {best.why}; {native}."
    return {"says": says, "precision": best.name, "fp32_ms": best.fp32_ms, "bf16_ms": best.bf16_ms}


def _cache() -> dict[str, Any]:
    folder = cache_dir()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    used = bytes_in(folder)
    enough = free > models.EMBEDDED_DISK or _has_base()
    advice = "" if enough else f" The base needs {_gb(models.EMBEDDED_DISK)}: make room."
    says = f"{folder} holds {_gb(used)}; {_gb(free)} free on that disk.{advice}"
    return {"says": says, "folder": str(folder), "used_bytes": used, "free_bytes": free}


def _work() -> dict[str, Any]:
    file = progress_file()
    adapters = file.parent / "adapters"  # where my_folder puts them
    solved = "remembers what you solved" if file.exists() else "will remember what you solve"
    count = sum(1 for _ in adapters.glob("*"))
    says = f"{file} {solved}; adapters that you keep lie in {adapters} ({count} so far)."
    return {"says": says, "progress": str(file), "adapters": count}


def _has_base() -> bool:
    return models.is_whole(models.embedded_place() / "model.safetensors")


def _base() -> dict[str, Any]:
    if _has_base():
        return {"says": f"{models.EMBEDDED_NAME} is here.", "present": True}
    says = f"{models.EMBEDDED_NAME} will be fetched (93 MB) at first use."
    if (models.embedded_place() / "model.safetensors").exists():
        says = f"{models.EMBEDDED_NAME} is here, but cut short or damaged: the next use fetches it again (93 MB)."
    if not fetching.index_answers():
        says += f" But {fetching.OFFLINE}. Connect first."
    return {"says": says, "present": False}


def _hub() -> dict[str, Any]:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return {"says": "not asked: HF_HUB_OFFLINE is set. The lessons need no hub.", "reachable": None}
    reachable = _answers(constants.ENDPOINT, seconds=3)
    says = "reachable: any hub id can be your base." if reachable else "not reachable. The lessons need no hub."
    return {"says": says, "reachable": reachable}


def _answers(url: str, seconds: float) -> bool:
    """Whether a server answers at `url`, with whatever status, within `seconds` (a slow name look-up included)."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    answered = threading.Event()

    def ask() -> None:
        try:
            urlopen(Request(url, method="HEAD"), timeout=seconds).close()
        except HTTPError:
            pass  # an answer, if not a welcome
        except (OSError, ValueError):
            return
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(seconds + 0.5)


def _libraries() -> dict[str, Any]:
    installed = versions()
    return {"says": ", ".join(f"{name} {version}" for name, version in installed.items()) + ".", "versions": installed}


def _lesson(stem: str, available: int | None) -> dict[str, Any]:
    """How a lesson will run here, from what it took where its baseline was made."""
    baseline = read_baseline(stem, "quick")
    if baseline is None:
        untimed = dict.fromkeys(("seconds", "peak_ram_bytes", "fits", "measured_on"))
        return {"says": "no baseline yet: it has not been timed."} | untimed
    seconds, peak = baseline["seconds"], baseline["peak_ram_bytes"]
    took = f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"
    fits = None if available is None else peak < available
    room = {None: "", True: ", which is free here", False: ", more than is free here: close other programs first"}[fits]
    says = f"about {took} on {baseline['machine']}; peak {_gb(peak)} of RAM{room}."
    return {"says": says, "seconds": seconds, "peak_ram_bytes": peak, "fits": fits, "measured_on": baseline["machine"]}


_PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "processor": _processor,
    "memory": _memory,
    "gpu": _gpu,
    "16 bit": _sixteen_bit,
    "cache": _cache,
    "your work": _work,
    "base model": _base,
    "model hub": _hub,
    "versions": _libraries,
}
