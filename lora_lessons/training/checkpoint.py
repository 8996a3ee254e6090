"""A run on disk: weights, AdamW's moments, the story so far and a checksum in one safetensors file, whole or not there.

Its name says what it was made from: the same name means the same weights at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import models, tasks
from ..errors import cache_advice, disk_is_full, first_line
from ..files import set_aside, whole_file
from ..machine import version
from ..models import tensors_digest
from ..paths import sources
from .processes import sharded_like, whole
from .settings import Settings, Training, TrainingStopped

FINISHED, CHECKPOINT = "finished.safetensors", "checkpoint.safetensors"


def write_checkpoint(
    path: Path,
    run: str,
    learned: dict[str, nn.Parameter],
    training: Training,
    optimizer: Any = None,
    *,
    main: bool = True,
) -> None:
    """Write what is `learned`, and the moments of `optimizer` when it is given, as the run with fingerprint `run`.

    Where ranks share the run, each of them calls this, since what is sharded is gathered; the `main` one writes.
    Raises TrainingStopped when the disk does not take it; an older file at `path` is then left as it was.
    """
    tensors = {f"weights.{name}": _on_cpu(p) for name, p in learned.items()}
    if optimizer:
        for name, p in learned.items():
            tensors |= {f"adamw.{name}.{key}": _on_cpu(value) for key, value in moments(optimizer, p).items()}
    if not main:
        return
    about = {"run": run, "training": json.dumps(asdict(training))}
    about["sha256"] = tensors_digest(tensors, path.name, about["run"], about["training"])
    try:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, metadata=about)
    except (OSError, SafetensorError) as error:
        kept = disk_is_full(error) and path.with_name(CHECKPOINT).is_file()
        again = ": it goes on from the last checkpoint" if kept else ""
        raise TrainingStopped(
            f"{path.name} could not be written to {path.parent} ({error}): {cache_advice(error)}, and run again{again}."
        ) from error


@torch.no_grad()
def read_checkpoint(path: Path, run: str, learned: dict[str, nn.Parameter], optimizer: Any = None) -> Training | None:
    """Put the weights of `path` back, and the moments when `optimizer` is given; return the story so far.

    None where there is no file, or one that is not what was written: it is set aside, and said. Raises ValueError when
    it belongs to another run.
    """
    if not path.is_file():
        return None
    try:
        tensors, about = _as_written(path)
    except FileNotFoundError:  # another process has just finished the same run
        return None
    except DamagedRun as error:
        _set_aside(path, error)
        return None
    if about["run"] != run:
        raise ValueError(f"{path} belongs to a run with other settings, data or weights: choose another run_dir.")
    for name, p in learned.items():
        p.copy_(sharded_like(p, tensors[f"weights.{name}"]))
        if optimizer:
            prefix = f"adamw.{name}."
            kept = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
            restore_moments(optimizer, p, kept)
    return Training(**json.loads(about["training"]))


def _set_aside(path: Path, why: DamagedRun) -> None:
    """Rename a damaged run, and say so. Raises TrainingStopped where its folder does not allow it."""
    try:
        aside = set_aside(path)
    except OSError as error:
        raise TrainingStopped(
            f"{path} {why} and cannot be renamed ({error.strerror}): choose another run_dir, or set LORA_LESSONS_CACHE "
            "to a folder that may be written to."
        ) from error
    print(f"{path.name} {why}; it is kept as {aside.name}, and training starts anew.")


def steps_done(path: Path) -> int:
    """How many steps the run in the file `path` has behind it; 0 where there is none, or a damaged one."""
    try:
        return len(json.loads(_as_written(path)[1]["training"])["losses"])
    except (FileNotFoundError, DamagedRun):
        return 0


class DamagedRun(ValueError):
    """A file is not the run that was written; the message, which follows the file's name, says what is wrong."""


def _as_written(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a run's file and what it says of itself, if its checksum says that all is as it was written.

    The checksum covers every tensor (name, type, shape, bytes), the file's name, the run and its story. Raises
    DamagedRun.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise DamagedRun(f"could not be read ({first_line(error)})") from error
    if "sha256" not in about:
        raise DamagedRun("carries no checksum (an older version of the course wrote none), so it is not trusted")
    if about["sha256"] != tensors_digest(tensors, path.name, about.get("run", ""), about.get("training", "")):
        raise DamagedRun("is damaged (its checksum does not fit)")
    return tensors, about


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
        optimizer.state[p] = {key: t.to(counts_on) if key == "step" else sharded_like(p, t) for key, t in kept.items()}
        return
    optimizer.init_state(group, p, group_number, number)
    for key, tensor in kept.items():
        if key == "step":
            optimizer.state[p]["step"] = int(tensor)
        else:
            optimizer.state[p][key].copy_(tensor)


def _on_cpu(value: Any) -> Tensor:
    return torch.as_tensor(whole(value)).detach().cpu().contiguous()


# What takes part in a run: a change in any of these files may change what is learned. Relative to the package.
SOURCES = ("lora.py", "targets.py", "models/*.py", "quant/*.py", "tasks/*.py", "fast/*.py", "training/*.py")
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")


def fingerprint(model: nn.Module, examples: Sequence[tasks.Encoded], settings: Settings) -> str:
    """A name for this run: equal for equal settings, data, start weights, adapters, code, versions and machine."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(code_and_machine(next(model.parameters()).device).encode())
    digest.update(str(getattr(model, "config", "")).encode())
    # what shows in no weight: α and rsLoRA (a scale), the share that a dropout drops, a norm's ε, a learner's own layer
    for name, module in model.named_modules():
        kind = f"{type(module).__name__} {module.extra_repr()}"
        digest.update(f"{name} {kind} {getattr(module, 'scaling', '')} {getattr(module, 'made_by', '')}".encode())
    # the scales of a weight in 4 bits
    digest.update(models.tensors_digest(dict(model.named_buffers())).encode())
    for example in examples:
        for part in (part for part in example if part is not None):
            digest.update(part.numpy().tobytes())
    # a large base says where it came from, which stands for its frozen bytes
    known = getattr(model, "base_fingerprint", "")
    digest.update(known.encode())
    for name, p in model.named_parameters():
        digest.update(f"{name} {p.requires_grad} {p.dtype}".encode())
        for data in models.parameter_bytes(p) if p.requires_grad or not known else ():
            digest.update(data)
    return digest.hexdigest()[:24]


def code_and_machine(device: torch.device) -> str:
    """A name for what every run on `device` rests on: the package's code, the libraries' versions and the machine."""
    digest = hashlib.sha256()
    for source in run_sources():
        digest.update(source.read_bytes())
    for library in LIBRARIES:
        digest.update(version(library).encode())
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    digest.update(f"{models.best_precision().name} {torch.get_num_threads()} {device.type} {card}".encode())
    return digest.hexdigest()


def run_sources() -> list[Path]:
    """The package's own files that a run depends on, in a fixed order."""
    return sources(SOURCES)
