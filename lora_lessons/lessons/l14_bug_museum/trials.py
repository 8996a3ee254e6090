"""Each repair of hall 3, tried on something tiny: what it did, in numbers. The notebook's invariants and the checks use the same."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import bitsandbytes as bnb
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from ... import lora
from ...adapter import adapter_of, attach_adapter
from .tiny_llama import (
    IDS,
    LONG_IDS,
    OTHER_IDS,
    PARTS,
    adamw,
    gradients,
    heard,
    learn,
    logits,
    lora_config,
    loss_of,
    moved,
    tiny_llama,
    weights_of,
)

transformers_logging.disable_progress_bar()


class Wrapped(nn.Module):
    """A class of somebody's own around the model, as many training scripts have one."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, **batch: Any) -> Any:
        return self.net(**batch)


class Second(NamedTuple):
    """What training a second adapter did: tensors of each adapter that moved, and of the base; the losses; the file."""

    first: int
    second: int
    base: int
    losses: list[float]
    # the first adapter's loss on its own text, before and after
    on_first: tuple[float, float]
    folder: Path


def second_adapter(add_second: Callable[[Any], Any], steps: int = 20) -> Second:
    """Train "first" on IDS, then whatever `add_second` trains on OTHER_IDS."""
    model = get_peft_model(tiny_llama(), lora_config(), adapter_name="first")
    learn(model, adamw(model.parameters()), steps)
    before = loss_of(model)
    kept = {name: tensor for name, tensor in weights_of(model, "").items()}
    optimizer = add_second(model)
    start = weights_of(model, ".second.")
    losses = learn(model, optimizer, steps, OTHER_IDS)
    folder = Path(tempfile.mkdtemp())
    model.save_pretrained(folder)
    model.set_adapter("first")
    first = {name: tensor for name, tensor in kept.items() if ".first." in name}
    base = {name: tensor for name, tensor in kept.items() if ".first." not in name}
    return Second(
        moved(model, first), moved(model, start), moved(model, base), losses, (before, loss_of(model)), folder
    )


class Attached(NamedTuple):
    """What a hand-made attachment trained."""

    trainable: int
    # numbers that A and B have
    in_adapter: int
    # tensors of the base, and of A and B, that other numbers are in now
    base_moved: int
    adapter_moved: int
    # numbers that the optimizer holds
    held: int
    losses: list[float]
    # the loss at the end of the run, and with the adapter alone on a fresh copy of the base
    in_the_run: float
    from_the_file: float


def attached(attach: Callable[[Any], torch.optim.Optimizer], steps: int = 20) -> Attached:
    """Attach, train, and put A and B alone on a fresh copy of the base."""
    net = tiny_llama()
    torch.manual_seed(0)
    optimizer = attach(net)
    trainable = lora.trainable_parameters(net)
    adapter = weights_of(net, "lora_")
    base = {name: tensor for name, tensor in weights_of(net, "").items() if name not in adapter}
    losses = learn(net, optimizer, steps)
    fresh = tiny_llama()
    attach_adapter(fresh, adapter_of(net))
    held = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    sizes = sum(tensor.numel() for tensor in adapter.values())
    return Attached(trainable, sizes, moved(net, base), moved(net, adapter), held, losses, loss_of(net), loss_of(fresh))


class Checkpointed(NamedTuple):
    """What checkpointing left of the gradients."""

    heard: int
    of: int
    # how often each block ran in one step: 2 where its inside was thrown away and computed again
    runs: list[int]
    # the largest difference from the gradients without checkpointing
    apart: float
    losses: list[float]
    folder: Path


def checkpointed(save_memory: Callable[[Any], Any], steps: int = 20) -> Checkpointed:
    """The gradients of one step, and some training, with adapters on q, v and the head."""

    def adapted(change: Callable[[Any], Any]) -> Any:
        torch.manual_seed(0)
        return get_peft_model(change(tiny_llama()), lora_config("q_proj", "v_proj", "lm_head"))

    right, model = gradients(adapted(lambda net: net)), adapted(save_memory)
    runs = [0] * len(model.get_base_model().model.layers)

    def count(i: int) -> Callable[..., None]:
        def one_more(*_: Any) -> None:
            runs[i] += 1

        return one_more

    hooks = [
        block.self_attn.register_forward_hook(count(i)) for i, block in enumerate(model.get_base_model().model.layers)
    ]
    found = gradients(model)
    ran = list(runs)
    for hook in hooks:
        hook.remove()
    apart = max(float((found[name] - right[name]).abs().max()) for name in right)
    model.zero_grad()
    losses = learn(model, adamw(model.parameters()), steps)
    folder = Path(tempfile.mkdtemp())
    model.save_pretrained(folder)
    return Checkpointed(heard(found), len(found), ran, apart, losses, folder)


def in_four_bits() -> Any:
    """The tiny Llama in NF4, loaded as everybody loads one: transformers and bitsandbytes."""
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny_llama().save_pretrained(folder)
        return AutoModelForCausalLM.from_pretrained(folder, quantization_config=how, dtype=torch.float32)


def repacked(model: Any) -> bool:
    """Whether bitsandbytes repacked a layer of `model` for inference: it does on processors with AVX-512 bf16."""
    layers = (module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit))
    return any(getattr(layer.weight.quant_state, "packing_format_for_cpu", False) for layer in layers)


def close(model: Any) -> None:
    """What the repacked product does, by hand, for other processors: no gradient passes through a 4-bit weight."""
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit) and not hasattr(module, "lora_A"):
            module.register_forward_hook(lambda _module, _args, out: out.detach())


class Tied(NamedTuple):
    """A merged model: logits' distance from the adapter's in memory and after save and load; losses."""

    in_memory: float
    reloaded: float
    # the largest change of the embedding's weight
    embedding: float
    tied: bool
    config_ties: bool
    with_adapter: float
    from_file: float


def tied(merged: Callable[[Any], Any], steps: int = 20) -> Tied:
    """Train adapters on q, v and the head of a tied model, merge, save, load."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(tiny_llama(tied=True), lora_config("q_proj", "v_proj", "lm_head"))
        learn(model, adamw(model.parameters()), steps)
        right, with_adapter = logits(model), loss_of(model)
        embedding = model.get_base_model().model.embed_tokens.weight.detach().clone()
        net = merged(model)
        with tempfile.TemporaryDirectory() as folder:
            net.save_pretrained(folder)
            again = LlamaForCausalLM.from_pretrained(folder)
    return Tied(
        float((logits(net) - right).abs().max()),
        float((logits(again) - right).abs().max()),
        float((net.model.embed_tokens.weight - embedding).abs().max()),
        again.lm_head.weight is again.model.embed_tokens.weight,
        bool(net.config.tie_word_embeddings),
        with_adapter,
        loss_of(again),
    )


class Halves(NamedTuple):
    """Gradients of every B, computed in fp16, beside those in fp32."""

    zeros: float
    cosine: float
    # ‖g‖ / ‖right g‖
    size: float
    finite: bool


def in_fp16(gradients_in_fp16: Callable[[Any, Tensor], dict[str, Tensor]]) -> Halves:
    """Compare what `gradients_in_fp16` returns with the gradients in fp32."""

    def adapted() -> Any:
        torch.manual_seed(0)
        return get_peft_model(tiny_llama(), lora_config())

    model = adapted()
    (model(input_ids=LONG_IDS, labels=LONG_IDS).loss / PARTS).backward()
    right = flat({name: p.grad for name, p in model.named_parameters() if "lora_B" in name})
    found = flat(gradients_in_fp16(adapted().half(), LONG_IDS))
    cosine = torch.cosine_similarity(found, right, 0) if bool(found.any()) else torch.zeros(())
    return Halves(
        float((found == 0).float().mean()),
        float(cosine),
        float(found.norm() / right.norm()),
        bool(torch.isfinite(found).all()),
    )


def unscale_error() -> str:
    """What a GradScaler says when A and B themselves are in fp16."""
    model = get_peft_model(tiny_llama(), lora_config()).half()
    optimizer, scaler = adamw(model.parameters()), torch.amp.GradScaler("cpu")
    scaler.scale(model(input_ids=IDS, labels=IDS).loss).backward()
    try:
        scaler.unscale_(optimizer)
    except ValueError as error:
        return str(error)
    return ""


def flat(tensors: dict[str, Tensor]) -> Tensor:
    """All numbers of these tensors in one row, in fp32."""
    return torch.cat([tensor.float().flatten() for tensor in tensors.values()])


class Loaded(NamedTuple):
    """A loaded adapter: the loss where it was trained, as it is loaded, and of the base."""

    trained: float
    loaded: float
    base: float
    # the largest difference of logits from the trained model's
    apart: float
    # lora_B that are not zero, and all
    b_moved: int
    b_all: int


def a_saved_folder(steps: int = 20) -> tuple[Path, Any]:
    """An adapter trained on a wrapped model and saved from it: its folder, and the model."""
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(Wrapped(tiny_llama()), config)
    learn(model, adamw(model.parameters()), steps)
    folder = Path(tempfile.mkdtemp())
    model.save_pretrained(folder)
    return folder, model


def loaded(load: Callable[[Any, Path], Any], folder: Path, model: Any) -> Loaded:
    """What `load` makes of a bare model and the folder in which `model`'s adapter was saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = load(tiny_llama(), folder)
    b = [p for name, p in back.named_parameters() if "lora_B" in name]
    return Loaded(
        loss_of(model),
        loss_of(back),
        loss_of(tiny_llama()),
        float((logits(back) - logits(model)).abs().max()),
        sum(bool(p.any()) for p in b),
        len(b),
    )
