"""Configs for tests: a tiny one of every causal language model that transformers has, and small ones that train."""

from typing import Any

from transformers import AutoConfig

# What a config calls its sizes, and what it gets: only names that its class has are set.
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "d_model": 64,
    "n_embd": 64,
    "emb_dim": 64,
    "embed_dim": 64,
    "num_hidden_layers": 2,
    "num_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "intermediate_size": 128,
    "ffn_dim": 128,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 512,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16,
    "v_head_dim": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

# What a config class holds against the sizes above.
OWN: dict[str, dict[str, Any]] = {
    "dots3_note": {"num_key_value_heads": 4},
    "dots3_note_text": {"num_key_value_heads": 4},
    "mamba2": {"num_heads": 8},
    "olmo_hybrid": {"layer_types": ["linear_attention", "full_attention"]},
    "zaya": {"num_experts_per_tok": 1},
}


def tiny(kind: str, **other: Any) -> Any:
    """The config of model type `kind`, tiny where its class has names for sizes, and `other` settings."""
    whole = AutoConfig.for_model(kind)
    parts = {name: _tiny(part) for name in whole.sub_configs if (part := getattr(whole, name, None)) is not None}
    return type(whole)(**_sizes(whole) | parts | other)


def _tiny(config: Any) -> Any:
    return type(config)(**_sizes(config))


def _sizes(config: Any) -> dict[str, Any]:
    said, every = config.to_dict(), getattr(config, "num_hidden_layers", None)
    lists = {name: value[:2] for name, value in said.items() if isinstance(value, list) and len(value) == every}
    sizes = {name: size for name, size in SIZES.items() if name in said and not isinstance(said[name], list | dict)}
    return sizes | lists | OWN.get(config.model_type, {})


# A model that trains for a step at once, and whose every line of memory is larger than a rounding.
SMALL: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "head_dim": 16,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def small(kind: str, **other: Any) -> Any:
    """A config of model type `kind` with the sizes in SMALL, and `other` settings."""
    return AutoConfig.for_model(kind, **SMALL | other)


# What makes a 7B of models.SHAPES small enough to train on a processor.
SMALL_7B = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}
