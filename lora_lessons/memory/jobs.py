"""What is trained, and the model that trains it: built with weights, or without any on the meta device.

A job and a model's configuration are all that a plan needs; `build` makes the very same layers for both.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .. import lora, models
from ..errors import ModelError
from ..training.optimizers import make_optimizer
from ..training.settings import Settings
from . import bill as bills
from . import tape

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LAYERS = ("ours", "peft")
COUNTED = (
    "method", "r", "target_modules", "seq", "batch_size", "gradient_checkpointing", "optimizer", "dtype", "adapter_dtype", "layer",
)  # fmt: skip
LONGEST = 2**24  # tokens: no sequence is looked for beyond


@dataclass(frozen=True)
class Job(Settings):
    """What is trained, and how: the loop's settings, and the method, ranks and lengths that memory depends on.

    Raises ValueError for a setting that cannot be.
    """

    method: str = "qlora"  # full, lora, qlora; or "full bf16", "full fp32"
    r: int = 16
    target_modules: str | tuple[str, ...] = "all-linear"
    seq: int = 1024  # tokens in a sequence, none of them padding
    batch_size: int = field(default=1, kw_only=True)  # sequences
    gradient_checkpointing: bool = field(default=True, kw_only=True)
    dtype: str = "bf16"  # of the weights that are not packed, and of what is computed
    adapter_dtype: str = "fp32"
    layer: str = "ours"  # lora.attach, or "peft"

    def __post_init__(self) -> None:
        if self.method in bills.FULL:
            full, _, dtype = self.method.partition(" ")
            object.__setattr__(self, "method", full)
            object.__setattr__(self, "dtype", dtype)
        choices = {
            "method": ("full", "lora", "qlora"), "dtype": tuple(DTYPES), "adapter_dtype": tuple(DTYPES), "layer": LAYERS,
        }  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not known: choose one of {', '.join(known)}.")
        for name in ("r", "seq"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} = {value!r}: give a whole number of at least 1.")
        super().__post_init__()
        if self.seq > LONGEST or self.batch_size > 2**16:
            raise ValueError(
                f"{self.batch_size} sequences of {self.seq} tokens: no card holds that; give smaller numbers."
            )
        if not isinstance(self.target_modules, str):
            object.__setattr__(self, "target_modules", tuple(self.target_modules))

    def counted(self) -> dict[str, Any]:
        """The settings that the ledger depends on, by name."""
        return {name: getattr(self, name) for name in COUNTED}


class Shape(NamedTuple):
    """A model's configuration, without weights: what it is called, and its config as JSON."""

    name: str
    text: str

    def config(self, blocks: int | None = None) -> Any:
        """The transformers config, of `blocks` decoder blocks if given."""
        from transformers import AutoConfig

        said = json.loads(self.text)
        made = AutoConfig.for_model(said.pop("model_type"), **said)
        if blocks is not None:
            kinds = getattr(made, "layer_types", None)
            made.num_hidden_layers = blocks
            if kinds:
                made.layer_types = [kinds[i % period(kinds)] for i in range(blocks)]
        return made


def shape_of(model: Any) -> Shape:
    """The shape of a name in models.SHAPES, "embedded", a folder with config.json, a hub id, or a transformers config.

    Raises ModelError in one sentence when there is no such model, or none that can be read.
    """
    from huggingface_hub.utils import logging as hub_logging
    from transformers import AutoConfig, PretrainedConfig

    if isinstance(model, Shape):
        return model
    if isinstance(model, PretrainedConfig):
        return _shape(model.model_type, model)
    name = str(model)
    if name in models.SHAPES:
        return _shape(name, AutoConfig.for_model(**models.SHAPES[name]))
    where = models.embedded_folder() if name == models.EMBEDDED else Path(name).expanduser()
    if where.is_dir() and not (where / "config.json").is_file():
        raise ModelError(f"{where} has no config.json: give the folder that holds a model's config.json.")
    if not where.is_dir() and (name.count("/") != 1 or name.startswith((".", "~", "/"))):
        raise ModelError(
            f"{name!r} is no model that is known here: give one of {', '.join(models.SHAPES)}, 'embedded', a folder with "
            "config.json, or a hub id such as 'owner/name'."
        )
    said = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # its retries are no news: one sentence follows if they fail
    try:
        config = AutoConfig.from_pretrained(str(where) if where.is_dir() else name, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if where.is_dir():
            raise ModelError(f"{where / 'config.json'} could not be read ({why}): fetch it again.") from error
        raise ModelError(
            f"the config of {name!r} could not be fetched from the model hub ({why}): check the spelling and the network, "
            f"log in if the model is gated, or give one of {', '.join(models.SHAPES)} or a folder with config.json."
        ) from error
    finally:
        hub_logging.set_verbosity(said)
    return _shape(models.EMBEDDED_NAME if name == models.EMBEDDED else name, config)


def _shape(name: str, config: Any) -> Shape:
    said = config.get_text_config().to_dict()  # of a model that also sees: its language half
    for key in (
        "quantization_config",
        "dtype",
        "torch_dtype",
        "architectures",
        "_name_or_path",
        "transformers_version",
    ):
        said.pop(key, None)
    return Shape(name, json.dumps(said, sort_keys=True, default=str))


def period(kinds: Sequence[str]) -> int:
    """After how many blocks their kinds repeat: 1 where all are alike, 6 in Gemma 3 (five sliding, one full)."""
    return next(p for p in range(1, len(kinds) + 1) if all(k == kinds[i % p] for i, k in enumerate(kinds)))


# ---- a model that trains, with weights or without ----


def build(shape: Shape, job: Job, device: str = "meta", blocks: int | None = None) -> tuple[nn.Module, Any]:
    """The model of `shape` ready to train as `job` says, and its optimizer with its state made.

    On "meta" it holds no numbers, elsewhere random ones; block after block, so that NF4 never needs the 16-bit model.
    Raises ModelError when transformers cannot build it, ValueError when r or a target cannot be.
    """
    from transformers import AutoModelForCausalLM

    config = shape.config(blocks)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[job.dtype])
    except Exception as error:
        raise ModelError(
            f"{shape.name}: transformers cannot build a {config.model_type} language model ({error})."
        ) from error
    if device == "meta" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(_meta_attention())
    linears = lora.resolve_targets(model, "all-linear")
    with _codebooks_put_back():
        for module in [*tape.blocks(model), model]:
            if device != "meta":
                _materialise(model, module, device)
            if job.method == "qlora" and module is not model:
                _pack(module, DTYPES[job.dtype])
    if job.method == "full":
        model.requires_grad_(True)
    else:
        _attach(model, job, linears)
    model.train()
    if job.gradient_checkpointing:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its new name is newer than what the course still runs with
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.config.use_cache = False
    optimizer = primed_optimizer([p for p in model.parameters() if p.requires_grad], job, device)
    return model, optimizer


def _materialise(model: Any, module: Any, device: str) -> None:
    """Give what is still on the meta device in `module` a place and random numbers, as transformers would."""
    for part in module.modules():
        own = [*part.parameters(recurse=False), *part.buffers(recurse=False)]
        if own and all(t.is_meta for t in own):
            part.to_empty(device=device, recurse=False)
            with torch.no_grad():
                for tensor in part.parameters(recurse=False):
                    tensor.normal_(0, 0.02) if tensor.ndim > 1 else tensor.fill_(1)
            if any(True for _ in part.buffers(recurse=False)):
                model._init_weights(part)
    if module is model:
        model.tie_weights()


def _pack(block: nn.Module, dtype: torch.dtype) -> None:
    """Every Linear of `block` in bitsandbytes' NF4 with double quantization, in place."""
    import bitsandbytes as bnb
    from bitsandbytes.functional import quantize_4bit

    for name, linear in [(n, m) for n, m in block.named_modules() if isinstance(m, nn.Linear)]:
        weight, bias = linear.weight, linear.bias
        packed, quant_state = quantize_4bit(weight.data, quant_type="nf4", compress_statistics=True)
        with torch.device("meta"):
            four = bnb.nn.Linear4bit(
                linear.in_features, linear.out_features, bias=False, compute_dtype=dtype, quant_type="nf4"
            )
        four.weight = bnb.nn.Params4bit(
            packed, requires_grad=False, quant_state=quant_state, quant_type="nf4", bnb_quantized=True, module=four
        )
        four.bias = bias
        four.support_avx512bf16_for_cpu = False  # else one forward in eval mode ends the gradients below it
        parent, _, leaf = name.rpartition(".")
        setattr(block.get_submodule(parent), leaf, four)


@contextmanager
def _codebooks_put_back() -> Iterator[None]:
    """bitsandbytes keeps the first codebook that it makes for everybody after: one on meta must not be it."""
    from bitsandbytes.functional import name2qmap

    before = dict(name2qmap)
    name2qmap.clear()
    try:
        yield
    finally:
        name2qmap.clear()
        name2qmap.update(before)


def _attach(model: nn.Module, job: Job, linears: list[str]) -> None:
    targets = job.target_modules
    if job.layer == "ours":
        lora.attach(model, job.r, 2 * job.r, targets)
    else:
        import peft

        names = linears if targets == "all-linear" else lora.resolve_targets(model, targets)
        for name in names:
            linear: Any = model.get_submodule(name)
            lora.check_settings(job.r, 2 * job.r, linear.out_features, linear.in_features)
        peft.inject_adapter_in_model(peft.LoraConfig(r=job.r, lora_alpha=2 * job.r, target_modules=names), model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(DTYPES[job.adapter_dtype])


def primed_optimizer(parameters: list[nn.Parameter], job: Job, device: str = "cpu") -> Any:
    """The optimizer that `job` trains with, its state made by a step with gradients of zero. Meta counts as a card does.

    Pageable moments need a card; on a processor they are ordinary ones.
    """
    name = job.optimizer.removeprefix("paged_") if device == "cpu" else job.optimizer
    made = make_optimizer(name, parameters, job.learning_rate, job.weight_decay, device)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    made.zero_grad(set_to_none=True)
    if job.optimizer == "adamw_fused" and device == "meta":
        made.step = lambda: None  # one kernel, in place: it leaves no tensor for a tape to see
    return made


@cache
def _meta_attention() -> str:
    """transformers' name for attention that keeps what the fused kernels keep: q, k, v, output, log-sum-exp."""
    from transformers import AttentionInterface

    AttentionInterface.register("fused_on_meta", _fused)
    return "fused_on_meta"


def _fused(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, scaling: float | None = None, **__: Any) -> tuple[Tensor, None]:  # fmt: skip
    """The processor's fused kernel by name: on meta, PyTorch's choice would be the one that keeps every score."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, 0.0, True, scale=scaling)[0].transpose(1, 2).contiguous(), None
