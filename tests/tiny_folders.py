"""Tiny models of random weights in folders, what transformers itself makes of them in 4 bits,
and a few steps of training."""

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from lora_lessons import lora, models, tasks
from lora_lessons.models.four_bit import Format

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
BF16, FP32 = Format("nf4", torch.bfloat16), Format("nf4", torch.float32)


def make_folder(path, kind="llama", tied=False, shard="60KB"):
    """A tiny model of random bf16 weights, saved in several shards."""
    config, model = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = model(config(**SIZES, tie_word_embeddings=tied)).to(torch.bfloat16)
        for name, p in made.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(p, std=0.1)  # transformers starts them at zero, which would hide a lost one
        made.save_pretrained(path, max_shard_size=shard)
    return path


def stock(folder, form):
    """What transformers itself makes of the folder."""
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=form.quant_type,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=form.compute_dtype,
    )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=form.compute_dtype, quantization_config=config).eval()


def assert_same(one, other, cast=False):
    mine, yours = one.state_dict(), other.state_dict()
    assert mine.keys() == yours.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor.to(yours[name].dtype) if cast else tensor, yours[name]), name
        assert cast or tensor.dtype == yours[name].dtype, name


def examples(count=4, length=12):
    ids = torch.randint(3, 128, (count, length), generator=torch.Generator().manual_seed(0))
    return [tasks.Encoded(row, row.clone()) for row in ids]


def steps(model, count=5, lr=1e-2):
    """Losses and last gradients of AdamW steps on one batch."""
    batch = tasks.collate(examples(), pad_id=0)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer, losses = torch.optim.AdamW(learned.values(), lr=lr), []
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: p.grad.clone() for name, p in learned.items()}


def adapted(folder, load):
    model = load(folder)
    lora.attach(model, r=4)
    return model


def ours(folder):
    return models.load(folder, "nf4", device="cpu", compute_dtype=torch.bfloat16).model
