"""The model that a job trains, built with random numbers, or without any on the meta device:
the same layers both times.

And the usual Hugging Face recipe, what PEFT and transformers' Trainer add to a step: `prepare_model_for_kbit_training`
keeps in 32 bits whatever NF4 does not pack: embeddings, output head, norms. `Trainer` with bf16=True then runs the
model under autocast, which copies those weights to 16 bits at each use, and hands the logits out a second time, in 32
bits. On the meta device PyTorch's autocast does nothing, so it is played here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .. import lora
from ..errors import ModelError
from ..training.settings import make_optimizer
from . import bill, tape, way
from .job import DTYPES, Job, Shape, why


def build(
    shape: Shape,
    job: Job,
    device: str = "meta",
    blocks: int | None = None,
    *,
    window: int | None = None,
    card: bool = True,
) -> tuple[nn.Module, Any]:
    """The model of `shape` ready to train as `job` says, and its optimizer with its state made.

    On "meta" it holds no numbers, elsewhere random ones; block after block, so that NF4 never needs the 16-bit model.
    `blocks` takes the first few alone; `window` is set in place of every sliding window; `card` says whose kernels and
    optimizer a model on "meta" stands for. Raises ModelError when transformers cannot build it, ValueError when r or a
    target cannot be.
    """
    model = skeleton(shape, DTYPES[job.dtype], blocks, window)
    if device == "meta" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(way.register(card))
    bill.use(model, job.loss)
    linears = lora.resolve_targets(model, "all-linear") if job.layer == "peft" and job.method != "full" else []
    with _codebooks_put_back():
        for module in [*tape.blocks(model), model]:
            if device != "meta":
                _materialise(model, module, device)
            if job.method == "qlora" and module is not model:
                _pack(module, DTYPES[job.dtype], card and device != "cpu")
    if job.recipe == "hf" and job.method == "qlora":
        prepare(shape.name, model)
    if job.method == "full":
        model.requires_grad_(True)
    else:
        _attach(model, job, linears)
    if job.loss in bill.FUSED and any("lora_" in name for name, _ in model.get_output_embeddings().named_parameters()):
        raise ValueError(
            "a fused loss multiplies by the head's weight itself, so an adapter of the head would not be trained: "
            "leave the head out of target_modules, or plan it with loss = 'whole'."
        )
    model.train()
    if job.gradient_checkpointing:
        if not getattr(model, "supports_gradient_checkpointing", False):
            raise ValueError(
                f"{shape.name}: transformers cannot checkpoint a {model.config.model_type}: plan it without gradient "
                "checkpointing."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # its new name is newer than what the course still runs with
            model.gradient_checkpointing_enable(checkpointing(job, device, card))
    if job.gradient_checkpointing or job.recipe == "course":  # Trainer leaves it on where nothing is checkpointed
        model.config.use_cache = False
    if job.recipe != "course":
        train_by_trainer(model, device, card)
    elif job.autocast and way.why_plain(model, job, card):
        compute_in_16_bits(model, device, card)
    trained = [p for p in model.parameters() if p.requires_grad]
    return model, primed_optimizer(trained, job, device, card)


def skeleton(shape: Shape, dtype: torch.dtype, blocks: int | None = None, window: int | None = None) -> Any:
    """The model of `shape` on the meta device, as transformers builds it; of its first `blocks` blocks if given.

    Raises ModelError when transformers cannot build it.
    """
    from transformers import AutoModelForCausalLM

    config = shape.config()
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ModelError(
            f"{shape.name}: transformers cannot build a {config.model_type} language model, one that predicts the next "
            "token. The ledger reads decoder-only models such as Llama, Mistral, Qwen and Gemma."
        )
    try:
        if blocks is not None:
            _take_first(config, blocks)
        for name, _ in windows(config) if window else []:
            setattr(config, name, window)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"{shape.name}: transformers cannot build a {config.model_type} language model from this config "
            f"({why(error)}): fetch it again."
        ) from error


def _take_first(config: Any, blocks: int) -> None:
    """Leave the first `blocks` blocks: their number, and every list that has an entry for each block."""
    every = config.num_hidden_layers
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == every:
            setattr(config, name, value[:blocks])
    config.num_hidden_layers = blocks


def windows(config: Any) -> list[tuple[str, int]]:
    """The names and sizes, in tokens, of the config's sliding windows and attention chunks: beyond one,
    a mask is made."""
    named_sizes = ((name, getattr(config, name, None)) for name in ("sliding_window", "attention_chunk_size"))
    return [(name, size) for name, size in named_sizes if isinstance(size, int) and size > 0]


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


def _pack(block: nn.Module, dtype: torch.dtype, card: bool) -> None:
    """Every Linear of `block` in bitsandbytes' NF4 with double quantization, in place:
    as a card or a processor has it."""
    import bitsandbytes as bnb
    from bitsandbytes.functional import quantize_4bit

    from ..models.four_bit import SlicedLinear4bit

    layer = bnb.nn.Linear4bit if card else SlicedLinear4bit

    for name, linear in [(n, m) for n, m in block.named_modules() if isinstance(m, nn.Linear)]:
        weight, bias = linear.weight, linear.bias
        packed, quant_state = quantize_4bit(weight.data, quant_type="nf4", compress_statistics=True)
        with torch.device("meta"):
            four = layer(linear.in_features, linear.out_features, bias=False, compute_dtype=dtype, quant_type="nf4")
        four.weight = bnb.nn.Params4bit(
            packed, requires_grad=False, quant_state=quant_state, quant_type="nf4", bnb_quantized=True, module=four
        )
        four.bias = bias
        four.support_avx512bf16_for_cpu = False  # else one forward in eval mode ends the gradients below it
        block.set_submodule(name, four)


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what is left out, the plan says in its notes
            lora.attach(model, job.r, 2 * job.r, targets)
    else:
        import peft

        if job.recipe != "course" and any(tape.experts(module) for module in model.modules()):
            attach_by_peft(model, job.r, targets)
            names = []
        else:
            names = linears if targets == "all-linear" else lora.resolve_targets(model, targets)
        for name in names:
            linear: Any = model.get_submodule(name)
            lora.check_settings(job.r, 2 * job.r, linear.out_features, linear.in_features)
        if names:
            peft.inject_adapter_in_model(peft.LoraConfig(r=job.r, lora_alpha=2 * job.r, target_modules=names), model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(DTYPES[job.adapter_dtype])


def attach_by_peft(model: nn.Module, r: int, targets: str | tuple[str, ...]) -> None:
    """PEFT's adapters on a mixture, by PEFT's own choice: with transformers 5 that may be its experts and router,
    too."""
    import peft

    _fold_on_meta()
    named = targets if targets == "all-linear" else [targets] if isinstance(targets, str) else list(targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a rank of its experts, which it then gives them
        peft.inject_adapter_in_model(peft.LoraConfig(r=r, lora_alpha=2 * r, target_modules=named), model)


@cache
def _fold_on_meta() -> None:
    """PEFT 0.21 adds B·A to a stack under the autocast of its device, switched off; "meta" has none to switch off."""
    from peft.tuners.lora import layer

    if folding := getattr(layer, "_LoraFactorsProxy", None):
        elsewhere = folding.forward
        folding.forward = lambda self, W: (
            torch.baddbmm(W, self.lhs, self.rhs, alpha=self.scaling) if W.is_meta else elsewhere(self, W)
        )


def primed_optimizer(parameters: list[nn.Parameter], job: Job, device: str = "cpu", card: bool = True) -> Any:
    """The optimizer that `job` trains with, its state made by a step with gradients of zero.

    On "meta" it counts as on a card, or with card=False as on a processor, where nothing is pageable: there
    bitsandbytes keeps the same moments in ordinary memory.
    """
    unpaged = device == "cpu" and job.optimizer.startswith("paged")
    plain = device == "meta" and not card and job.optimizer == "adamw"
    place = "meta" if unpaged else "cpu" if plain else device
    made = make_optimizer(job.optimizer, parameters, job.learning_rate, job.weight_decay, place)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    made.zero_grad(set_to_none=True)
    if job.optimizer == "adamw_fused" and device == "meta":
        made.step = lambda: None  # one kernel, in place: it leaves no tensor for a tape to see
    return made


# What autocast computes in 16 bits, by name; of these, what decoders call (PyTorch's list of ops,
# "Automatic Mixed Precision").
IN_16_BITS = {
    "linear",
    "matmul",
    "__matmul__",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "einsum",
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu",  # the fused kernel that stands for a card's on "meta"
}


class Autocast(TorchFunctionMode):
    """torch.autocast in bf16 for tensors on the meta device, with its cache of the trained weights' copies."""

    def __init__(self, card: bool) -> None:
        super().__init__()
        self.card = card
        self.copies: dict[int, Tensor] = {}

    def __enter__(self) -> Any:
        self.before = torch.is_autocast_enabled("cuda")
        torch.set_autocast_enabled("cuda", self.card)  # PEFT's layers ask for a card's, whatever the device
        return super().__enter__()

    def __exit__(self, *why: Any) -> None:
        self.copies.clear()
        torch.set_autocast_enabled("cuda", self.before)
        super().__exit__(*why)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in IN_16_BITS:
            args = tuple(self._cast(value) for value in args)
            kwargs = {name: self._cast(value) for name, value in kwargs.items()}
        return func(*args, **kwargs)

    def _cast(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.requires_grad and value.is_leaf):
            return value.to(torch.bfloat16)
        if id(value) not in self.copies:
            self.copies[id(value)] = value.to(torch.bfloat16)
        return self.copies[id(value)]


def autocast(device: str, card: bool) -> AbstractContextManager[Any]:
    """bf16 autocast for a model on `device`; on "meta" as a card's or a processor's."""
    return Autocast(card) if device == "meta" else torch.autocast(device, torch.bfloat16)


def checkpointing(job: Job, device: str, card: bool) -> dict[str, Any]:
    """How transformers checkpoints each block; on "meta" the second pass must be told of the autocast."""
    how: dict[str, Any] = {"use_reentrant": False}
    if (job.recipe != "course" or (job.autocast and job.dtype == "fp32")) and device == "meta":
        how["context_fn"] = lambda: (nullcontext(), autocast(device, card))
    return how


def prepare(name: str, model: nn.Module) -> None:
    """PEFT's prepare_model_for_kbit_training, on a model whose blocks are packed already.

    Raises ModelError for a mixture of experts: NF4 leaves its experts unpacked,
    so that all of them would become 32-bit.
    """
    from peft import prepare_model_for_kbit_training

    if any(tape.experts(module) for module in model.modules()):
        raise ModelError(
            f"{name} is a mixture of experts, which the usual Hugging Face recipe does not train in 4 bits: "
            "prepare_model_for_kbit_training would turn every expert into 32 bits. Plan it with the course's recipe."
        )
    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def train_by_trainer(model: nn.Module, device: str, card: bool) -> None:
    """From now on `model` is called as accelerate's Accelerator.prepare calls it under bf16=True."""
    from accelerate.utils.operations import convert_to_fp32

    compute_in_16_bits(model, device, card)
    inner: Callable[..., Any] = model.forward
    model.forward = lambda *args, **kwargs: convert_to_fp32(inner(*args, **kwargs))


def compute_in_16_bits(model: nn.Module, device: str, card: bool) -> None:
    """From now on `model` is called under autocast, as the course's loop does it on the plain way."""
    inner: Callable[..., Any] = model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _quiet(), autocast(device, card):
            return inner(*args, **kwargs)

    model.forward = forward


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # checkpoint asks for a card's autocast, where there is no card
        yield
