"""Trials of files: an adapter saved and loaded, a tied model merged, saved and loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from ..tiny_llama import adamw, learn, logits, lora_config, loss_of, scratch, tiny_llama

transformers_logging.disable_progress_bar()


class Wrapped(nn.Module):
    """A class of somebody's own around the model, as many training scripts have one."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, **batch: Any) -> Any:
        return self.net(**batch)


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
    folder = scratch()
    model.save_pretrained(str(folder))
    return folder, model


def loaded(load: Callable[[Any, Path], Any], folder: Path, model: Any) -> Loaded:
    """What `load` makes of a bare model and the folder in which `model`'s adapter was saved."""
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


class Tied(NamedTuple):
    """A merged model: logits' distance from the adapter's in memory and after save and load; losses."""

    in_memory: float
    reloaded: float
    # the largest change of the embedding's weight
    embedding: float
    tied: bool
    # whether the merged model's configuration ties them, before anything is saved
    config_ties: bool
    with_adapter: float
    from_file: float


def tied(merged: Callable[[Any], Any], steps: int = 20) -> Tied:
    """Train adapters on q, v and the head of a tied model, merge, save, load."""
    torch.manual_seed(0)
    model: Any = get_peft_model(tiny_llama(tied=True), lora_config("q_proj", "v_proj", "lm_head"))
    learn(model, adamw(model.parameters()), steps)
    right, with_adapter = logits(model), loss_of(model)
    embedding = model.get_base_model().model.embed_tokens.weight.detach().clone()
    net = merged(model)
    config_ties = bool(net.config.tie_word_embeddings)
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        again: Any = LlamaForCausalLM.from_pretrained(folder)
    return Tied(
        float((logits(net) - right).abs().max()),
        float((logits(again) - right).abs().max()),
        float((net.model.embed_tokens.weight - embedding).abs().max()),
        again.lm_head.weight is again.model.embed_tokens.weight,
        config_ties,
        with_adapter,
        loss_of(again),
    )
