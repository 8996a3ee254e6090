"""What llama.cpp computes, asked of it in a process of its own: exact logits, and its own quantization."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import ModelError, require
from ..files import scratch
from ..paths import package

if TYPE_CHECKING:
    from torch import Tensor


def logits(
    base: Path | str,
    prompts: Sequence[Sequence[int]],
    adapters: Mapping[Path | str, float] | None = None,
    *,
    every: bool = False,
) -> Tensor:
    """The logits after each prompt of token ids: (prompts, vocabulary), fp32, by llama.cpp's C interface.

    With `every`, those after every token of prompts of one length: (prompts, tokens, vocabulary).

    Exact: flash attention off, keys and values in fp32 and forgotten before each prompt. `adapters` maps adapter GGUFs
    to their scales. Raises FileNotFoundError or ModelError when llama.cpp cannot load a file.
    """
    import numpy as np
    import torch

    adapters = dict(adapters or {})
    check_files([base, *adapters])
    with scratch("llamacpp") as folder:
        out = folder / "logits.npy"
        job = {
            "job": "logits",
            "base": str(base),
            "prompts": [list(map(int, prompt)) for prompt in prompts],
            "out": str(out),
            "adapters": {str(path): scale for path, scale in adapters.items()},
            "threads": torch.get_num_threads(),
            "every": every,
        }
        finish(job, f"compute logits of {Path(base).name}")
        return torch.from_numpy(np.load(out))


def quantize(
    source: Path | str, out: Path | str, file_type: str, importance: Mapping[str, Tensor] | None = None
) -> None:
    """llama.cpp's own quantization of a GGUF to `file_type`, such as Q4_K_M; writes straight to `out`.

    `importance` is an importance matrix, by llama.cpp's names (see `gguf.importance`): errors in a column count as much
    as it says. Raises FileNotFoundError or ModelError when llama.cpp cannot do it.
    """
    import numpy as np
    import torch

    check_files([source])
    job: dict[str, Any] = {"source": str(source), "out": str(out), "type": file_type}
    job["threads"] = torch.get_num_threads()
    long = Path(source).stat().st_size > 1e9
    with scratch("llamacpp") as folder:
        if importance:
            job["importance"] = f"{folder}/importance.npz"
            arrays: dict[str, Any] = {name: values.float().numpy() for name, values in importance.items()}
            np.savez(job["importance"], **arrays)
        finish(job | {"job": "quantize"}, f"quantize {Path(source).name} to {file_type}", Path(out) if long else None)


WORKER = f"{__package__}.worker"


def python_path() -> str:
    """PYTHONPATH for a Python that is to find this very lora_lessons."""
    return os.pathsep.join(filter(None, (str(package().parent), os.environ.get("PYTHONPATH"))))


def start(job: Mapping[str, Any], chatter: IO[bytes]) -> subprocess.Popen[bytes]:
    """The worker, reading the job (and the server's token, which a command line would show) from its stdin."""
    require("llama_cpp_py_sync")
    require("xllamacpp")
    command, environment = [sys.executable, "-m", WORKER], os.environ | {"PYTHONPATH": python_path()}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=chatter, env=environment)
    assert process.stdin is not None
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    return process


def finish(job: Mapping[str, Any], what: str, grows: Path | None = None) -> None:
    """Run the job to its end, under a bar that follows the file `grows` where there is one.

    Raises ModelError, which says that llama.cpp could not `what` and why.
    """
    from tqdm.auto import tqdm

    with (
        tempfile.TemporaryFile() as chatter,
        tqdm(unit="B", unit_scale=True, leave=False, disable=grows is None) as bar,
    ):
        bar.set_description(what)  # given as desc, a notebook would take it for HTML
        process = start(job, chatter)
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=1)
                if grows is not None and grows.exists():
                    bar.update(grows.stat().st_size - bar.n)
        finally:
            process.kill()
            process.communicate()
        if process.returncode:
            raise failure(what, process.returncode, chatter)


def failure(what: str, status: int, chatter: IO[bytes]) -> ModelError:
    """The error to raise when a process ended with `status` before it could `what`, with the telling lines it wrote."""
    chatter.seek(0)
    lines = [line.strip() for line in chatter.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "fail" in line.lower() or "assert" in line.lower()]
    reason = " / ".join((telling or lines or ["it said nothing"])[-3:])[:500]
    return ModelError(f"llama.cpp could not {what} (status {status}): {reason}")


def check_files(paths: Sequence[Path | str]) -> None:
    """Raise FileNotFoundError or ModelError unless every one of `paths` is a GGUF."""
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: export it first (lora_tools.exporting.gguf).")
        with open(path, "rb") as file:
            if file.read(4) != b"GGUF":
                raise ModelError(f"{path} is no GGUF: give a file that lora_tools.exporting.gguf or llama.cpp wrote.")
