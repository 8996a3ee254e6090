"""A base model ready to use, and what it says: the embedded one, a folder, a GGUF or a model of the hub.

In 32, 16 or 4 bits; answers are greedy, to one user message or to many. A 4-bit layer that was evaluated may no longer
be trained by bitsandbytes on a processor: `keep_trainable` guards against it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError, first_line
from ..files import scratch, whole_folder
from ..paths import cache_dir
from .chat_template import check_template, rendered
from .configs import LARGEST, read_config, which
from .embedded import EMBEDDED, check_room, embedded_folder, made_once, note_files
from .gguf_config import correct
from .gguf_header import read_header
from .hub import fetch, one_sentence
from .named import Named, named
from .parts import fetched
from .precision import best_device, best_precision, fast_dtype
from .weights import bits_per_number, check_finite, shapes_in, weight_files

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
    """Load a base model and its tokenizer: EMBEDDED, one of NAMED, a local folder (safetensors),
    a .gguf file or a hub id.

    `precision` is "fp32", "bf16" or "auto" (whichever `best_precision` measured to be faster here); or "nf4" or "fp4":
    4 bits through bitsandbytes, blocks of 64, double quantization, computed in `compute_dtype` (default:
    `fast_dtype(device)`), equal to transformers' own 4-bit loading but for the guard of `keep_trainable`. Most GGUFs
    were rounded before they came (Q4_K_M, Q8_0 …), so that 4 bits round their weights a second time.
    Raises ModelError with what to do next when the model cannot be had, ValueError for an unknown precision.
    """
    import torch

    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "nf4": None, "fp4": None}
    if precision not in (*known, "auto"):
        raise ValueError(f"precision {precision!r} is not known: choose 'fp32', 'bf16' or 'auto', or 'nf4' or 'fp4'.")
    dtype = known[best_precision().name if precision == "auto" else precision]
    device = device or best_device()
    if dtype and compute_dtype is not None:
        raise ValueError("compute_dtype belongs to 4 bits: with 'fp32' and 'bf16' the weights' own format computes.")
    meant = which(model)
    if meant.kind == "gguf" and meant.place:
        form = "" if dtype else precision, dtype or compute_dtype or fast_dtype(device), device
        file = fetched(meant.place)
        return Base(_in_gguf(file, *form), load_tokenizer(file), meant.name)
    if dtype is None:
        from .four_bit import Format

        return _in_four_bits(model, Format(precision, compute_dtype or fast_dtype(device), device))
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

    A named base is unpacked beside its file: the bf16 that `load` holds of it. An adapter may name the embedded base by
    its name, or by where it lay on another machine. Raises ModelError, also for any other GGUF.
    """
    meant = which(model)
    if base := named(model):
        return made_once(base.place.parent / "bf16", partial(_unpack, base), base.title, base.unpacked)
    if meant.kind == "gguf":
        raise ModelError(f"{model} is a file: give the folder with config.json and safetensors that it was made from.")
    if meant.kind == "hub":
        with one_sentence(meant.name, local=False):
            return fetch(meant.name)
    return meant.place or embedded_folder()


def _unpack(base: Named, folder: Path) -> None:
    check_room(folder.parent, f"unpacking {base.title}", base.unpacked)
    print(f"Unpacking {base.title} to 16 bits, once ({base.unpacked / 1e9:.1f} GB) …", file=sys.stderr, flush=True)
    loaded = load(base.name, "bf16", "cpu")
    with whole_folder(folder) as new:
        loaded.model.save_pretrained(new, max_shard_size=2 * base.unpacked)
        loaded.tokenizer.save_pretrained(new)
        note_files(new)


def load_tokenizer(place: str | Path, source: str = "", local: bool = True) -> Any:
    """The tokenizer in a folder or a .gguf file, or of a hub id; its chat template is tried before it is used.

    Raises ModelError, which calls it `source` (default: the place), when it cannot be loaded, or its template is unfit.
    """
    from transformers import AutoTokenizer

    source = source or str(place)
    with one_sentence(source, local):
        if str(place).endswith(".gguf"):
            tokenizer = _tokenizer_in_gguf(Path(place))
        else:
            tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        parts = (
            getattr(getattr(tokenizer, "backend_tokenizer", None), name, None) for name in ("normalizer", "decoder")
        )
        if any(_growth(json.loads(part.__getstate__())) > MOST_GROWTH for part in parts if part):
            raise ValueError("its tokenizer makes a text thousands of times as long")
        for special in (False, True):  # settings that are damaged show themselves only in use
            if not tokenizer("a word", add_special_tokens=special)["input_ids"]:
                raise ValueError("its tokenizer makes no tokens of a text")
        try:
            tokenizer.convert_tokens_to_ids("no vocabulary's token")
        except RecursionError:  # transformers looks for the unknown token as for any other
            raise ValueError(f"its unk_token {tokenizer.unk_token!r} is not in its vocabulary") from None
    if isinstance(tokenizer.chat_template, str) and not tokenizer.chat_template.strip():
        tokenizer.chat_template = None
    check_template(tokenizer, source)
    return tokenizer


def _tokenizer_in_gguf(file: Path) -> Any:
    """The tokenizer in a GGUF, by that file alone: transformers would prefer a tokenizer.json that lies beside it."""
    from transformers import AutoTokenizer

    header = read_header(file)
    with scratch("tokenizer") as alone:
        tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file=str(file.resolve()), trust_remote_code=False)
    correct(tokenizer, header)
    return tokenizer


MOST_GROWTH = 1000  # times; those in use replace a character by one or two


def _growth(part: Mapping[str, Any]) -> float:
    """How many times as long a text can become in a tokenizer's normalizer or decoder,
    one replacement after the other."""
    steps = part.get("normalizers") or part.get("decoders")
    if steps:
        return math.prod(map(_growth, steps))
    pattern = (part.get("pattern") or {}).get("String", "")
    return max(1.0, len(part.get("content") or "") / max(1, len(pattern)))


def _in_four_bits(model: str | Path, form: Format) -> Base:
    from . import tensor_by_tensor

    meant, place = which(model), folder(model)
    # What the kept 4-bit weights are called: a hub id stays the same when its files are fetched anew.
    source = meant.name if meant.kind == "hub" else str(place)
    read_config(place)
    tokenizer = load_tokenizer(place, source, local=meant.kind != "hub")
    with one_sentence(source, local=meant.kind != "hub"):
        net = tensor_by_tensor.load(place, form, cache=cache_dir() / "4bit", name=source)
    return Base(keep_trainable(net), tokenizer, meant.name)


def _in_gguf(file: Path, quant_type: str, dtype: torch.dtype, device: str) -> Any:
    """The model in a GGUF: read here where its architecture is known, else by transformers, in 32 or 16 bits.

    transformers holds all of it in fp32 while it loads, and more.
    """
    from . import gguf_tensors, tensor_by_tensor
    from .four_bit import Format

    with one_sentence(str(file), local=True):
        header = read_header(file)
        architecture = header.fields["general.architecture"]
    if architecture in gguf_tensors.READ:
        form = Format(quant_type, dtype, device)
        net = tensor_by_tensor.load_gguf(file, header, form, cache_dir() / "4bit")
        return keep_trainable(net) if quant_type else net
    if quant_type:
        raise ModelError(
            f"{file.name} holds a {architecture}, and of GGUFs {', '.join(gguf_tensors.READ)} are loaded in 4 bits: "
            "give the folder with config.json and safetensors that it was made from, "
            "or load it with precision='bf16' or 'fp32'."
        )
    return _by_transformers(file.parent, str(file), dtype, gguf_file=file.name).to(device).eval()


# No pickle, and no adapter: transformers would put on one that lies beside the base.
# In a folder of this name lies none.
BASE_ALONE: dict[str, Any] = {"use_safetensors": True, "adapter_kwargs": {"subfolder": "\0"}}


def _from_pretrained(model: str | Path, dtype: torch.dtype) -> Base:
    meant, place = which(model), folder(model)
    read_config(place)
    _check_weights(place)
    source = meant.name if meant.kind == "hub" else str(place)
    tokenizer = load_tokenizer(place, source, local=meant.kind != "hub")
    return Base(_by_transformers(place, source, dtype, local=meant.kind != "hub"), tokenizer, meant.name)


def _by_transformers(place: Path, source: str, dtype: torch.dtype, local: bool = True, **extra: Any) -> Any:
    """The model that transformers loads from a folder. Raises ModelError, which calls it `source`,
    where a weight is missing."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    # A base loads in a second or two.
    transformers_logging.disable_progress_bar()
    with one_sentence(source, local):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype, trust_remote_code=False, output_loading_info=True, **BASE_ALONE, **extra
        )
    net, about = loaded
    if missing := sorted(about["missing_keys"]):  # transformers draws them at random
        raise ModelError(
            f"{source} holds no {missing[0]} ({len(missing)} weights are missing under the names that "
            f"{type(net).__name__} gives them): fetch it again, or give another base."
        )
    return net


def _check_weights(place: Path) -> None:
    """Raise ModelError for complex numbers, which transformers would convert,
    and where no weight is as wide as the config says.

    A config without a width means its family's default: transformers would make all of such a model, often gigabytes,
    before it says that nothing fits.
    """
    from transformers import AutoConfig

    shapes = shapes_in([file for file in place.glob("*.safetensors") if not file.name.startswith("adapter")])
    with one_sentence(str(place), local=True):
        width = getattr(
            AutoConfig.from_pretrained(place, trust_remote_code=False).get_text_config(), "hidden_size", None
        )
    if shapes and isinstance(width, int) and not any(width in shape for _, shape in shapes.values()):
        raise ModelError(
            f"{place / 'config.json'} says, or leaves out and so means, hidden_size = {width:,}, and no weight has "
            "that size: fetch the folder again."
        )


def base_weights(net: Any) -> int:
    """The numbers that a base holds, adapters apart: of weights packed in 4 bits each one, not their bytes."""
    return sum(_numbers(p) for name, p in net.named_parameters() if "lora_" not in name)


def _numbers(p: Any) -> int:
    packed = getattr(p, "quant_state", None)
    if packed is not None:
        return int(packed.shape.numel())
    return int(p.numel()) if p.is_floating_point() else 2 * int(p.numel())


def chat(base: Base, prompt: str, max_new_tokens: int = 60, system: str | None = None) -> str:
    """The model's greedy answer to one user message, as text."""
    return answers(base, [prompt], max_new_tokens, system)[0]


def answers(
    base: Base,
    prompts: Sequence[str],
    max_new_tokens: int = 60,
    system: str | None = None,
    batch_size: int = 16,
    before: Sequence[Mapping[str, str]] = (),
    cut: str = "",
    beside: Mapping[str, Any] | None = None,
) -> list[str]:
    """The model's greedy answers to user messages, `batch_size` at a time, the shorter prompts padded on the left.

    `before` are turns of the conversation that every message follows, such as examples of good answers. An answer that
    `max_new_tokens` cut off, or the end of what the base reads, ends with `cut`. `beside` is what the template is shown
    beside the messages, such as tools. Raises ValueError where the model's chat template refuses such a conversation,
    or it is longer than the base reads, ModelError where NaN or infinity in its weights leaves it nothing to say.
    """
    import torch

    def checked(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        check_finite(base.model, scores.amax(-1), "The scores of the next word")  # a word may have been ruled out: −∞
        return scores

    head: list[Mapping[str, Any]] = [
        *[{"role": "system", "content": system}] * (system is not None),
        *map(dict, before),
    ]
    asked = ([*head, {"role": "user", "content": prompt}] for prompt in prompts)
    texts = [rendered(base.tokenizer, messages, **(beside or {})) for messages in asked]
    was_training, replies = base.model.training, []
    given = base.model.generation_config.eos_token_id
    ends = [base.tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])]
    base.model.eval()
    for start in range(0, len(texts), batch_size):
        ids = [
            base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts[start : start + batch_size]
        ]
        longest, end = max(map(len, ids)), base.tokenizer.eos_token_id
        if longest >= reads(base):
            raise ValueError(
                f"what is asked has {longest:,} tokens, and {base.name} reads and writes {reads(base):,}: ask less."
            )
        padded = torch.tensor([[end] * (longest - len(one)) + one for one in ids], device=base.model.device)
        mask = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in ids], device=base.model.device)
        with torch.no_grad(), _by_its_settings(base.name):
            out = base.model.generate(
                input_ids=padded,
                attention_mask=mask,
                max_new_tokens=min(max_new_tokens, reads(base) - longest),
                do_sample=False,
                pad_token_id=end,
                logits_processor=[checked],
            )
        new = out[:, longest:]
        over = [any(token in ends for token in row) for row in new.tolist()]
        heard = base.tokenizer.batch_decode(new, skip_special_tokens=True)
        replies += [text.strip() + cut * (not ended) for text, ended in zip(heard, over, strict=True)]
    base.model.train(was_training)
    return replies


def reads(base: Base) -> int:
    """How many tokens the base reads and writes in all, by its config: it was trained on no more."""
    return getattr(base.model.config.get_text_config(), "max_position_embeddings", None) or LARGEST


@contextmanager
def _by_its_settings(name: str) -> Iterator[None]:
    """What transformers says to programmers of a setting of another kind becomes a ModelError
    that names where it stands."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ModelError(
            f"{name} cannot answer by the settings in its generation_config.json ({first_line(error)}): correct that "
            "file, or take it away."
        ) from error


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
                    f"{name} was repacked for inference by a forward pass without gradients and can no longer be "
                    "trained: load the base again, and call keep_trainable before the first forward."
                )
            module.support_avx512bf16_for_cpu = False
    return net
