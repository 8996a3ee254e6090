"""The formats that an adapter is exported to, merged: who writes and reads each, and what to know before choosing it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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
    found = [one for name in names for one in (LLAMA_CPP if name == "gguf" else [name])]
    if not found or (unknown := [one for one in found if one not in FORMATS]):
        said = f"format {unknown[0]!r} is not known" if found else "no format is named"
        raise ValueError(f"{said}: choose from gguf, {', '.join(FORMATS)}.")
    return list(dict.fromkeys(found))
