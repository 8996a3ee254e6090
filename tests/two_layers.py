"""A little Llama for the formats, and a look into a tool's environment."""

import subprocess

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lora_tools.exporting.formats import environments


def two_layers(vocabulary):
    """A random two-layer Llama whose rows are whole groups of 64."""
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=vocabulary,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )


def in_environment(python, code):
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environments.variables(), cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
