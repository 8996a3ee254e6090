"""A model that is there at once, for tests and for the processes that tests start."""

from __future__ import annotations

from typing import Any


def make_tiny_model() -> Any:
    """A random two-layer Llama of 128 tokens, the same every time: instant, and shaped like the real ones."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=128,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        return LlamaForCausalLM(config).eval()
