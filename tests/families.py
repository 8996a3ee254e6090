"""Bases of this year's families, tiny and random: their configs as transformers has them,
and adapters that PEFT makes of them."""

import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from peft_zoo import move
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
SEES = {"hidden_size": 16, "intermediate_size": 32}
BY_LAYERS = {**SEES, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
BY_DEPTH = {**SEES, "depth": 1, "num_heads": 2, "out_hidden_size": 32, "deepstack_visual_indexes": [0]}
HYBRID = {
    **SIZES,
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
GEMMA_4 = {
    **SIZES,
    "model_type": "gemma4_text",
    "hidden_size_per_layer_input": 0,
    "num_kv_shared_layers": 0,
    "global_head_dim": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}
GEMMA_4_SEES = {
    **BY_LAYERS,
    "head_dim": 8,
    "num_key_value_heads": 2,
    "global_head_dim": 8,
    "patch_size": 4,
    "position_embedding_size": 16,
}
# model_type → settings of its config
FAMILIES: dict[str, dict[str, Any]] = {
    "qwen3_5": {"text_config": HYBRID, "vision_config": BY_DEPTH},
    "qwen3_5_moe": {
        "text_config": {**HYBRID, **EXPERTS, "shared_expert_intermediate_size": 24},
        "vision_config": BY_DEPTH,
    },
    "qwen3_vl": {
        "text_config": {
            **SIZES,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        },
        "vision_config": BY_DEPTH,
    },
    "qwen2_vl": {
        "text_config": {
            **SIZES,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4},
        },
        "vision_config": {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
    },
    "qwen3_next": {**HYBRID, **EXPERTS, "shared_expert_intermediate_size": 24},
    "deepseek_v3": {
        **{name: size for name, size in SIZES.items() if name != "head_dim"},
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4,
        "v_head_dim": 8,
    },
    "gemma3": {"text_config": SIZES, "vision_config": BY_LAYERS, "mm_tokens_per_image": 4},
    "gemma3_text": SIZES,
    "gemma4": {"text_config": GEMMA_4, "vision_config": GEMMA_4_SEES, "audio_config": None},
    "mistral3": {
        "text_config": {**SIZES, "model_type": "ministral3"},
        "vision_config": {**BY_LAYERS, "head_dim": 8, "model_type": "pixtral"},
    },
    "gpt_oss": {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 24},
    "qwen3_moe": {**SIZES, **EXPERTS},
    "llava": {
        "text_config": {**SIZES, "model_type": "llama"},
        "vision_config": {**BY_LAYERS, "model_type": "clip_vision_model", "projection_dim": 16},
    },
}


def built(model_type: str, part: str = "whole") -> Any:
    """A model of the family: the "whole", or the "text" model alone that is one part of it."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **FAMILIES[model_type])
    if part == "text":
        return AutoModelForCausalLM.from_config(config.get_text_config())
    whole = AutoModelForImageTextToText if "text_config" in FAMILIES[model_type] else AutoModelForCausalLM
    return whole.from_config(config)


def adapter(place: Path, model_type: str, part: str = "whole", base: str = "", **settings: Any) -> Path:
    """An adapter of the family, which names its base `base`, saved by PEFT in `place`."""
    return moved(place, built(model_type, part), base, **settings)


def moved(place: Path, model: Any, base: str = "", **settings: Any) -> Path:
    """An adapter of `model`, as if it was trained, which names its base `base`, saved by PEFT in `place`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        worn = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=8, **settings))
        worn.peft_config["default"].base_model_name_or_path = base
        move(worn).save_pretrained(place)
    return place


def applied(model: Any, place: Path) -> float:
    """The share of the adapter's B's that PEFT applies on `model`: 0 where it stops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            worn = peft.PeftModel.from_pretrained(model, str(place))
        except ValueError:
            return 0.0
    applied = [bool(one.any()) for name, one in worn.named_parameters() if "lora_B" in name]
    return sum(applied) / len(applied)
