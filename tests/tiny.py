"""A model that is there at once, for tests and for the processes that tests start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
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


class AsciiTokenizer:
    """One token for each ASCII character: all that chatting with the tiny model asks of a tokenizer."""

    eos_token, eos_token_id = "\x02", 2

    def apply_chat_template(
        self, messages: list[dict[str, str]], tokenize: bool = False, add_generation_prompt: bool = False
    ) -> str:
        """user:…␂assistant:…␂, and an open assistant's turn when one is asked for."""
        turns = "".join(f"{m['role']}:{m['content']}{self.eos_token}" for m in messages)
        return turns + "assistant:" * add_generation_prompt

    def __call__(self, text: str | list[str], add_special_tokens: bool = True) -> dict[str, list[Any]]:
        if isinstance(text, list):
            return {"input_ids": [self(one)["input_ids"] for one in text]}
        return {"input_ids": [min(ord(character), 127) for character in text]}

    def batch_decode(self, rows: Any, skip_special_tokens: bool = True) -> list[str]:
        """The printable characters of each row."""
        return ["".join(chr(i) for i in row.tolist() if i >= 32) for row in rows]


class Letters:
    """A tokenizer whose answers are their tokens' numbers, so that each token can be counted;
    the template is the question."""

    eos_token_id = 2

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return messages[-1]["content"]

    def __call__(self, text: str, **_: Any) -> Inputs:
        import torch

        ids = torch.tensor([[ord(letter) % 120 + 5 for letter in text]])
        return Inputs(input_ids=ids, attention_mask=torch.ones_like(ids))

    def decode(self, tokens: Any, **_: Any) -> str:
        return " ".join(str(int(t)) for t in tokens)


class Inputs(dict[str, Any]):
    """What a tokenizer of transformers returns: it can be moved to a device."""

    def to(self, device: Any) -> Inputs:
        return self


def write_lines(folder: Path, lines: Sequence[Any], name: str = "mine.jsonl") -> Path:
    """A training file of these lines in `folder`."""
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / name


def make_tiny_base() -> Any:
    """The tiny model with a tokenizer of its own size, as `models.load` hands out a base."""
    from lora_lessons import models

    return models.Base(make_tiny_model(), AsciiTokenizer(), "tiny")


def shake(model: Any, std: float = 0.3) -> None:
    """Give every lora_B a value, as training would: the same for the same model."""
    import torch

    from lora_lessons import lora

    for i, (_, layer) in enumerate(lora.lora_layers(model)):
        layer.lora_B.data.normal_(0, std, generator=torch.Generator().manual_seed(i))


def make_adapter(model, name="one", seed=1, targets="all-linear", std=0.3, **settings):
    """An adapter that fits `model` and does something; the model stays bare."""
    import torch

    from lora_lessons import lora
    from lora_lessons.adapter import adapter_of

    lora.attach(model, settings.pop("r", 4), settings.pop("lora_alpha", 6), targets, seed=seed, **settings)
    generator = torch.Generator().manual_seed(seed)
    for _, layer in lora.lora_layers(model):
        layer.lora_B.data = std * torch.randn(layer.lora_B.shape, generator=generator)
    adapter = adapter_of(model, name)
    lora.detach(model)
    return adapter
