"""A run on disk: weights, AdamW's moments and the story so far in one safetensors file, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import cache_advice, disk_is_full
from ..files import whole_file
from .history import Training, TrainingStopped

FINISHED, CHECKPOINT = "finished.safetensors", "checkpoint.safetensors"


def write_checkpoint(
    path: Path, run: str, learned: dict[str, nn.Parameter], training: Training, optimizer: Any = None
) -> None:
    """Write what is `learned`, and the moments of `optimizer` when it is given, as the run with fingerprint `run`.

    Raises TrainingStopped when the disk does not take it; an older file at `path` is then left as it was.
    """
    tensors = {f"weights.{name}": _on_cpu(p) for name, p in learned.items()}
    if optimizer:
        for name, p in learned.items():
            tensors |= {f"adamw.{name}.{key}": _on_cpu(value) for key, value in moments(optimizer, p).items()}
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata={"run": run, "training": json.dumps(asdict(training))})
    except (OSError, SafetensorError) as error:
        kept = disk_is_full(error) and path.with_name(CHECKPOINT).is_file()
        again = ": it goes on from the last checkpoint" if kept else ""
        raise TrainingStopped(
            f"{path.name} could not be written to {path.parent} ({error}): {cache_advice(error)}, and run again{again}."
        ) from error


@torch.no_grad()
def read_checkpoint(path: Path, run: str, learned: dict[str, nn.Parameter], optimizer: Any = None) -> Training | None:
    """Put the weights of `path` back, and the moments when `optimizer` is given; return the story so far.

    None where there is no file, or a damaged one, which is set aside. Raises ValueError when it belongs to another run.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            if file.metadata()["run"] != run:
                raise ValueError(
                    f"{path} belongs to a run with other settings, data or weights: choose another run_dir."
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            training = Training(**json.loads(file.metadata()["training"]))
    except FileNotFoundError:  # another process has just finished the same run
        return None
    except SafetensorError as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        print(f"{path.name} could not be read ({error}); it is kept as {aside.name}, and training starts anew.")
        return None
    for name, p in learned.items():
        p.copy_(tensors[f"weights.{name}"])
        if optimizer:
            prefix = f"adamw.{name}."
            kept = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            restore_moments(optimizer, p, kept)
    return training


def moments(optimizer: Any, p: nn.Parameter) -> dict[str, Any]:
    """What `optimizer` remembers of `p`: AdamW's two moments and its step, without bitsandbytes' constant codebooks."""
    return {key: value for key, value in optimizer.state[p].items() if not key.startswith("qmap")}


def restore_moments(optimizer: Any, p: nn.Parameter, kept: dict[str, Tensor]) -> None:
    """Give `p` the moments that were `kept`. bitsandbytes makes room for its own (paged, where it pages) first."""
    group_number, number = next(
        (g, i) for g, group in enumerate(optimizer.param_groups) for i, q in enumerate(group["params"]) if q is p
    )
    group = optimizer.param_groups[group_number]
    if not hasattr(optimizer, "init_state"):
        # PyTorch's fused kernel counts steps on the card, the plain one on the CPU
        counts_on = p.device if group.get("fused") else "cpu"
        optimizer.state[p] = {key: t.to(counts_on if key == "step" else p.device) for key, t in kept.items()}
        return
    optimizer.init_state(group, p, group_number, number)
    for key, tensor in kept.items():
        if key == "step":
            optimizer.state[p]["step"] = int(tensor)
        else:
            optimizer.state[p][key].copy_(tensor)


def _on_cpu(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().cpu().contiguous()
