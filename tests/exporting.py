"""What the tests of the exports share: little models of every family, adapters of PEFT's making,
and logits to compare."""

import json
from collections import Counter

import peft
import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as kinds
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from lora_lessons import llamacpp
from lora_tools.exporting.gguf import SourceModel, vocabulary

LIMIT = 1e-3
PROMPTS = [
    "The capital of France is",
    "Once upon a time",
    "def add(a, b):\n    return",
    "1, 2, 3, 5, 8,",
    "Water boils at",
    "To be, or not to",
    "The opposite of hot is",
    "My favourite colour",
    "<|im_start|>user\nHello<|im_end|>\n",
    "In 1969,",
    "Roses are red, violets are",
    "import numpy as",
    "She sells sea shells by the",
]


def real_size(model, seed=0):
    """B of a trained adapter's size in place of zeros, so that the adapter matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.03, generator=generator)


@torch.no_grad()
def python_logits(model, prompts):
    return torch.stack([model(torch.tensor([ids])).logits[0, -1] for ids in prompts])


def peft_adapter(model, folder, targets="all-linear", seed=0, **settings):
    """An adapter of PEFT's own making, saved by PEFT; `model` comes back as it was."""
    config = {"r": 8, "lora_alpha": 16} | settings
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=targets, **config))
    real_size(wrapped, seed)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    wrapped.unload()
    return folder


def peft_logits(model, folder, prompts, factor=1.0):
    wrapped = peft.PeftModel.from_pretrained(model, folder)
    for module in wrapped.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            module.scale_layer(factor)
    out = python_logits(wrapped.eval(), prompts)
    wrapped.unload()
    return out


def worst(a, b):
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def sentencepiece_like():
    """A tokenizer as Llama 2 and Mistral have it (▁ for a space, bytes for what is unknown),
    of a few hundred tokens."""
    first = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trained = Tokenizer(kinds.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.train_from_iterator(PROMPTS, trainers.BpeTrainer(vocab_size=120, show_progress=False))
    made = json.loads(trained.to_str())["model"]
    letters = [t for t in made["vocab"] if len(t) == 1] + ["▁"] * ("▁" not in made["vocab"])
    pieces = ["".join(pair) for pair in made["merges"]]
    ids = {token: i for i, token in enumerate(dict.fromkeys([*first, *letters, *pieces]))}
    splits = [(p[:i], p[i:]) for p in dict.fromkeys(pieces) for i in range(1, len(p)) if p[:i] in ids and p[i:] in ids]
    made = Tokenizer(kinds.BPE(ids, splits, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if m.role == 'assistant' %}</s>{% endif %}{% endfor %}"
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **special)


def byte_level(name, template):
    """A tokenizer of some hundred tokens that cuts words as SmolLM2, Qwen2 or Llama 3 does,
    with SmolLM2's end and start."""
    rules = next(seen for seen, known in vocabulary.SPLITTERS.items() if known == name)
    first = pre_tokenizers.Digits(True) if name == "smollm" else pre_tokenizers.Split(Regex(rules[0]), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=name == "smollm")
    made = Tokenizer(kinds.BPE(ignore_merges=name == "llama-bpe"))
    made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence([first, level]), decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    text = [*PROMPTS, *vocabulary.PROBES]
    made.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=letters, show_progress=False)
    )
    ends = {"unk_token": special[0], "bos_token": special[1], "eos_token": special[2], "pad_token": special[2]}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, **ends)


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 1e4,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES = {
    "llama": {
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        "attention_bias": True,
        "rope_parameters": LLAMA3,
    },
    "mistral": {"num_key_value_heads": 1, "head_dim": 32, "tie_word_embeddings": False},
    "qwen2": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 32, "tie_word_embeddings": True},
}
TOKENIZERS = {"llama": "llama-bpe", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen2"}


def little_model(kind, folder, chat_template, **changes):
    """A random little model of a family, with that family's kind of tokenizer, saved in `folder`; (model,
    tokenizer)."""
    tokenizer = sentencepiece_like() if kind == "mistral" else byte_level(TOKENIZERS[kind], chat_template)
    settings = {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "vocab_size": len(tokenizer) + 3,
        "initializer_range": 0.1,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = AutoConfig.for_model(kind, **settings | SHAPES[kind] | changes)
        model = AutoModelForCausalLM.from_config(config).eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


def count(monkeypatch):
    """How many servers of llama.cpp are started and how many bases are opened from now on."""
    counted = Counter()
    for place, name, real, what in (
        (llamacpp, "serve", llamacpp.serve, "servers"),
        (SourceModel, "__init__", SourceModel.__init__, "bases"),
    ):

        def counting(*args, real=real, what=what, **settings):
            counted[what] += 1
            return real(*args, **settings)

        monkeypatch.setattr(place, name, counting)
    return counted
