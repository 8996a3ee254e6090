"""This machine: its name and libraries, the memory a process holds, what a kernel should start with."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "numpy", "matplotlib", "jupyterlab")


def kernel_environment(kernels: int = 1) -> dict[str, str]:
    """What the environment of one of `kernels` should hold unless the user says otherwise, set before torch is loaded.

    Threads that soon stop spinning while they wait: on a machine that is also doing something else, OpenMP's default
    (libgomp's, on Linux) makes a training step several times slower. And caches of oneDNN's kernels that stay small: it
    makes some 16 to 40 for every length of a text, half a megabyte each, and would keep 1,024.
    """
    threads = {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": str(min(8, max(1, (os.cpu_count() or 1) // kernels)))}
    return threads | dict.fromkeys(KERNEL_CACHES, "128") | dict(os.environ)


# Of the kernels, and of their descriptions, which PyTorch keeps beside them; read when the first product is computed.
KERNEL_CACHES = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"


def machine() -> str:
    """This machine in words: its processor and cores, no names and no paths."""
    return f"{processor()}, {os.cpu_count() or 1} cores"


def processor() -> str:
    """The processor's name as the operating system has it, or its architecture."""
    try:
        if platform.system() == "Darwin":
            name = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(name, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        if platform.system() == "Linux":
            info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
            named = (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name"))
            return next(named, "") or platform.machine()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Python's and the main libraries' versions; a library that is not installed is left out."""
    installed = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version()} | {name: number for name, number in installed.items() if number}


def version(library: str) -> str:
    """The version of an installed library, as pip lists it; "" where it is not installed.

    Ask here and nowhere else: `torch.__version__` may add a build's suffix (2.15.0+cu132) that pip does not list.
    """
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def stamp() -> dict[str, Any]:
    """Machine, date and versions: what every recording says of itself."""
    return {"machine": machine(), "date": date.today().isoformat(), "versions": versions()}


def memory_bytes() -> int:
    """The memory of this machine."""
    import psutil

    return psutil.virtual_memory().total


def free_bytes() -> int:
    """The memory of this machine that a program can still get."""
    import psutil

    return psutil.virtual_memory().available


def resident_bytes() -> int:
    """What this process holds in memory now."""
    import psutil

    return psutil.Process().memory_info().rss


def forget_peak() -> None:
    """Begin `peak` and `peak_bytes` anew, on a card and in this process, what was freed before let go of first.

    In a process on Linux alone; elsewhere its peak stays that of the whole process.
    """
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    let_go()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def let_go() -> None:
    """Give back to the system what was freed in this process and glibc keeps; another system's allocator is left alone.

    What stays between freed tensors, such as a kernel of oneDNN, leaves holes that the next tensor does not fit into.
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc, or no library without a name: Windows
        ctypes.CDLL(None).malloc_trim(0)


def peak() -> int:
    """The most bytes since `forget_peak`: of a card's tensors, or of the process on a CPU, libraries included."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_bytes()


def peak_bytes() -> int:
    """The most that this process held in memory, since `forget_peak` or ever; mapped files too."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    except (OSError, StopIteration):  # macOS, where getrusage counts bytes
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
