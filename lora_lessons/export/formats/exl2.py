"""EXL2, which only a CUDA card makes and reads: run where there is one, published commands elsewhere."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from ...errors import ModelError
from ...machine import version
from .catalogue import FORMATS, PUBLISHED


def exl2_commands(merged: Path | str, out: Path | str, bits: float = 4.0) -> list[str]:
    """The shell commands that make and try an EXL2 model, as exllamav2 0.3.2 publishes them; for a machine with CUDA."""
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
        notes = f"{FORMATS['exl2'].notes}; not run here. {' && '.join(commands)}"
        return {"status": PUBLISHED, "tool": "exllamav2", "version": "0.3.2", "notes": notes}
    begun = time.perf_counter()
    for command in exl2_commands(merged, out)[1:]:
        words = shlex.split(command)
        words = [sys.executable, *words[1:]] if words[0] == "python" else words
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"exllamav2 failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:300]}")
    size = sum(file.stat().st_size for file in out.glob("*.safetensors")) / 1e6
    return {
        "status": "converted",
        "tool": "exllamav2",
        "version": version("exllamav2"),
        "mb": size,
        "quantize_seconds": round(time.perf_counter() - begun, 1),
        "notes": "converted on this card; not measured",
    }
