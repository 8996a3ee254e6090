"""A mixture of experts that is there at once, and which of its weights an adapter reaches."""

from __future__ import annotations

from typing import Any, cast


def tiny_mixture() -> Any:
    """A random gpt-oss of two layers and four experts: each kind of expert's weight is one stack of matrices."""
    import torch
    from transformers import GptOssConfig, GptOssForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GptOssConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            num_local_experts=4,
            num_experts_per_tok=2,
            vocab_size=128,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        return GptOssForCausalLM(config).eval()


def reached(peft_model: Any) -> dict[str, int]:
    """The weights of the base that carry an adapter of PEFT's, name → numbers in it."""
    from peft.tuners.lora import ParamWrapper
    from peft.tuners.lora.layer import LoraLayer

    found: dict[str, int] = {}
    for name, module in peft_model.named_modules():
        if isinstance(module, ParamWrapper):
            # one wrapper a parameter, around one another
            name = name.replace(".base_layer", "")
            found[f"{name}.{module.parameter_name}"] = cast(Any, module).get_param().numel()
        elif isinstance(module, LoraLayer):
            found[f"{name}.weight"] = cast(Any, module.get_base_layer()).weight.numel()
    return {name.removeprefix("base_model.model."): numbers for name, numbers in found.items()}


def weights(model: Any) -> dict[str, int]:
    """The weights of a bare model that an adapter could reach: all matrices but embeddings, head and router."""
    return {
        name: p.numel()
        for name, p in model.named_parameters()
        if p.dim() >= 2 and not any(part in name for part in ("embed", "lm_head", "router", "bias"))
    }


def share(found: dict[str, int], every: dict[str, int], part: str = "") -> float:
    """How many of the numbers in the weights `every` (those with `part` in their names) are in `found`, 0 … 1."""
    names = [name for name in every if part in name]
    return sum(every[name] for name in names if name in found) / sum(every[name] for name in names)


def compared(peft_model: Any) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """The weights of the tiny mixture; those that `peft_model` reaches; those that a whole configuration reaches."""
    from peft import LoraConfig, get_peft_model

    every = weights(tiny_mixture())
    stacks = [f"mlp.experts.{part}" for part in ("gate_up_proj", "down_proj")]
    whole = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", target_parameters=stacks, task_type="CAUSAL_LM")
    return every, reached(peft_model), reached(get_peft_model(tiny_mixture(), whole))
