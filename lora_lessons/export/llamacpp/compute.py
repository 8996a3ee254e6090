"""Exact logits of a GGUF, and llama.cpp's own quantization of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import scratch
from .process import check_files, finish

if TYPE_CHECKING:  # the worker imports this package too, and starts much sooner without torch
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
