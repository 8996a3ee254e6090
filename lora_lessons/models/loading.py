"""A base model ready to use: the embedded one, a folder, a GGUF or a model of the hub, in 32, 16 or 4 bits.

which base is meant ── its folder, made or fetched if need be ── weights in the precision asked for, frozen files

Only safetensors and GGUF are read: never a pickle, never code from a model repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError
from ..paths import cache_dir
from .chat_template import check_template
from .configs import read_config
from .device import best_device
from .embedded import EMBEDDED, embedded_folder
from .gguf_header import check_header
from .hub import fetch, one_sentence
from .meant import which
from .precision import best_precision, fast_dtype
from .safetensors_files import bits_per_number, weight_files
from .trainable import keep_trainable

if TYPE_CHECKING:
    import torch

    from .four_bit import Format


class Base(NamedTuple):
    """A base model ready to use."""

    # A transformers causal language model, in eval mode.
    model: Any
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
    device = device or best_device()
    if dtype is None:
        from .four_bit import Format

        return _in_four_bits(model, Format(precision, compute_dtype or fast_dtype(device), device))
    if compute_dtype is not None:
        raise ValueError("compute_dtype belongs to 4 bits: with 'fp32' and 'bf16' the weights' own format computes.")
    base = _from_pretrained(model, dtype)
    return base._replace(model=base.model.to(device).eval())


def own_precision(model: str | Path = EMBEDDED) -> str:
    """The precision to hold `model` in: its files' own where this machine computes it fast, else "fp32".

    Of 16 bits in a file "bf16" is held, where it is fast: fp16 is rounded, as it would be when it is multiplied. A GGUF
    holds no number of more bits. Raises ModelError as `load` does.
    """
    if which(model).kind == "gguf" or bits_per_number(weight_files(folder(model))[0]) == 16:
        return best_precision().name
    return "fp32"


def folder(model: str | Path = EMBEDDED) -> Path:
    """Where a base's config, tokenizer and safetensors lie; the embedded one is made and a hub id fetched, if need be.

    An adapter may name the embedded base by its name, or by where it lay on another machine. Raises ModelError.
    """
    meant = which(model)
    if meant.kind == "gguf":
        raise ModelError(f"{model} is a file: give the folder with config.json and safetensors that it was made from.")
    if meant.kind == "hub":
        with one_sentence(meant.name, local=False):
            return fetch(meant.name)
    return meant.place or embedded_folder()


def load_tokenizer(place: str | Path, source: str = "", local: bool = True, **extra: Any) -> Any:
    """The tokenizer in a folder, or of a hub id; its chat template is tried before it is used.

    Raises ModelError, which calls it `source` (default: the place), when it cannot be loaded, or its template is unfit.
    """
    from transformers import AutoTokenizer

    source = source or str(place)
    with one_sentence(source, local):
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False, **extra)
        tokenizer("a word", add_special_tokens=False)  # settings of a wrong kind show themselves only in use
    if isinstance(tokenizer.chat_template, str) and not tokenizer.chat_template.strip():
        tokenizer.chat_template = None
    check_template(tokenizer, source)
    return tokenizer


def _in_four_bits(model: str | Path, form: Format) -> Base:
    from . import tensor_by_tensor

    if str(model).endswith(".gguf"):
        raise ModelError(
            f"{model} is a GGUF, rounded already: load it with precision='fp32', save it (save_pretrained), and load that folder in 4 bits."
        )
    meant, place = which(model), folder(model)
    # What the kept 4-bit weights are called: a hub id stays the same when its files are fetched anew.
    source = meant.name if meant.kind == "hub" else str(place)
    read_config(place)
    tokenizer = load_tokenizer(place, source, local=meant.kind != "hub")
    with one_sentence(source, local=meant.kind != "hub"):
        net = tensor_by_tensor.load(place, form, cache=cache_dir() / "4bit", name=source)
    return Base(keep_trainable(net), tokenizer, meant.name)


# No pickle, and no adapter: transformers would put on one that lies beside the base. In a folder of this name lies none.
BASE_ALONE: dict[str, Any] = {"use_safetensors": True, "adapter_kwargs": {"subfolder": "\0"}}


def _from_pretrained(model: str | Path, dtype: torch.dtype) -> Base:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    # A base loads in a second or two.
    transformers_logging.disable_progress_bar()
    meant, extra = which(model), {}
    if meant.place and meant.kind == "gguf":
        with one_sentence(str(meant.place), local=True):
            check_header(meant.place)
        place, extra = meant.place.parent, {"gguf_file": meant.place.name}
    else:
        place = folder(model)
        read_config(place)
    source = meant.name if meant.kind == "hub" else str(place)
    tokenizer = load_tokenizer(place, source, local=meant.kind != "hub", **extra)
    with one_sentence(source, local=meant.kind != "hub"):
        net = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, trust_remote_code=False, **BASE_ALONE, **extra)
    return Base(net, tokenizer, meant.name)


def base_weights(net: Any) -> int:
    """The numbers that a base holds, adapters apart: of weights packed in 4 bits each one, not their bytes."""
    return sum(_numbers(p) for name, p in net.named_parameters() if "lora_" not in name)


def _numbers(p: Any) -> int:
    packed = getattr(p, "quant_state", None)
    if packed is not None:
        return int(packed.shape.numel())
    return int(p.numel()) if p.is_floating_point() else 2 * int(p.numel())
