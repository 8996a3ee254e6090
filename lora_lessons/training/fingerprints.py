"""A name for a run: the same name means the same weights at the end, so that a finished run can be read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from .. import models, tasks
from ..machine import version
from ..paths import sources
from .settings import Settings

# What takes part in a run: a change in any of these files may change what is learned. Relative to the package.
SOURCES = ("lora.py", "targets.py", "models/*.py", "quant/*.py", "tasks/*.py", "fast/*.py", "training/*.py")
LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes")


def fingerprint(model: nn.Module, examples: Sequence[tasks.Encoded], settings: Settings) -> str:
    """A name for this run: equal for equal settings, data, start weights, adapters, code, versions and machine."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(code_and_machine(next(model.parameters()).device).encode())
    digest.update(str(getattr(model, "config", "")).encode())
    # what shows in no weight: α and rsLoRA (a scale), the share that a dropout drops, a norm's ε
    for name, module in model.named_modules():
        said = f"{name} {type(module).__name__} {module.extra_repr()} {getattr(module, 'scaling', '')}"
        digest.update(said.encode())
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
