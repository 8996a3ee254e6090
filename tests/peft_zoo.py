"""Adapters of every kind that PEFT makes, on a tiny base: made once, moved a little as training would, and saved by PEFT."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from chat_templates import ZEPHYR, tokenizer_of
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QV = ["q_proj", "v_proj"]
LORA = {"r": 4, "lora_alpha": 8, "target_modules": QV}

# One of each kind: PEFT's settings.
KINDS: dict[str, dict[str, Any]] = {
    "plain": LORA,
    "all_linear": {**LORA, "target_modules": "all-linear"},
    "by_pattern": {**LORA, "target_modules": r".*layers\.\d+\.self_attn\.(q|v)_proj$"},
    "rank_pattern": {**LORA, "rank_pattern": {"layers.1.self_attn.q_proj": 2}},
    "alpha_pattern": {**LORA, "alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 2}},
    "dora": {**LORA, "use_dora": True},
    "rslora": {**LORA, "use_rslora": True},
    "modules_to_save": {**LORA, "modules_to_save": ["lm_head", "embed_tokens"]},
    "on_embeddings": {**LORA, "target_modules": ["embed_tokens", "q_proj"]},
    "pissa": {**LORA, "init_lora_weights": "pissa"},
    "olora": {**LORA, "init_lora_weights": "olora"},
    "gaussian": {**LORA, "init_lora_weights": "gaussian"},
    "biases": {**LORA, "bias": "lora_only"},
    "lora_bias": {**LORA, "lora_bias": True},
    "some_layers": {**LORA, "layers_to_transform": [1]},
    "tokens": {**LORA, "trainable_token_indices": {"embed_tokens": [3, 4]}},
}


class Kept:
    """A folder of PEFT's with the model that it was saved from."""

    def __init__(self, place: Path, model: Any) -> None:
        self.place, self.model = place, model


@torch.no_grad()
def move(model: Any, seed: int = 0) -> Any:
    """Move every trainable number a little, as training does."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += (0.03 * torch.randn(parameter.shape, generator=generator)).to(parameter.dtype)
    return model


def llama(tied: bool = False, bias: bool = False) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=len(TOKENIZER), tie_word_embeddings=tied, attention_bias=bias)
    return LlamaForCausalLM(config).eval()


def mixtral() -> Any:
    torch.manual_seed(0)
    return MixtralForCausalLM(MixtralConfig(**SIZES, vocab_size=128, num_local_experts=4, num_experts_per_tok=2)).eval()


def made(place: Path, model: Any, config: Any, moved: bool = True) -> Kept:
    """The adapter that PEFT makes of `config` for `model`, saved in `place`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worn = peft.get_peft_model(model, config)
        if moved:
            move(worn)
        worn.save_pretrained(place)
    return Kept(place, worn)


def lora(place: Path, moved: bool = True, model: Any = None, **settings: Any) -> Kept:
    """A LoRA adapter of the tiny Llama; `settings` over LORA's."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", **LORA | settings)
    return made(place, llama() if model is None else model, config, moved)


TOKENIZER = tokenizer_of(ZEPHYR, begin=False)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama and its tokenizer, as a base in a folder."""
    place = tmp_path_factory.mktemp("base") / "tiny"
    llama().save_pretrained(place)
    TOKENIZER.save_pretrained(place)
    return place


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    """Every kind in KINDS, and those that need another model or are no LoRA."""
    place = tmp_path_factory.mktemp("zoo")
    found = {
        name: lora(place / name, model=llama(bias=name == "biases"), **settings) for name, settings in KINDS.items()
    }
    found["bf16"] = lora(place / "bf16", model=llama().to(torch.bfloat16))
    experts = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], target_parameters=_experts())
    found["experts"] = made(place / "experts", mixtral(), experts)
    torch.manual_seed(0)
    config = LlamaConfig(**SIZES, vocab_size=128, num_labels=3)
    classifier = AutoModelForSequenceClassification.from_config(config)
    found["classifier"] = made(place / "classifier", classifier, peft.LoraConfig(task_type="SEQ_CLS", **LORA))
    others = {
        "ia3": peft.IA3Config(task_type="CAUSAL_LM", target_modules=QV, feedforward_modules=[]),
        "loha": peft.LoHaConfig(r=4, target_modules=QV),
        "prompt": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    }
    return found | {name: made(place / name, llama(), config) for name, config in others.items()}


def _experts() -> list[str]:
    return ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def edited(kept: Kept, place: Path, change: Any = None, **settings: Any) -> Path:
    """A copy of a saved adapter in `place`, its tensors changed by `change`, its configuration by `settings`."""
    shutil.copytree(kept.place, place)
    file, config = place / "adapter_model.safetensors", place / "adapter_config.json"
    if change is not None:
        save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file)
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return place
