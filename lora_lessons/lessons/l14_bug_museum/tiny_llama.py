"""Hall 3's workshop: a Llama that is there at once, one batch for it to learn, and the plainest of loops."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from ...files import lasting_scratch

# Four rows of 16 tokens, learned by heart; and four others, for a second adapter.
IDS, OTHER_IDS = torch.randint(3, 128, (2, 4, 16), generator=torch.Generator().manual_seed(0))
# Eight rows of 128, one part in 1,024 of a batch of a million tokens: the more tokens share a loss, the smaller each one's gradient.
LONG_IDS, PARTS = torch.randint(3, 128, (8, 128), generator=torch.Generator().manual_seed(1)), 1024


def tiny_llama(tied: bool = False, seed: int = 0) -> Any:
    """A random Llama of two layers and 128 tokens, the same every time; `tied`: its head is its embedding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=128,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=tied,
            use_cache=False,
        )
        return LlamaForCausalLM(config).eval()


@cache
def _scratch() -> Path:
    return lasting_scratch("museum")


def scratch() -> Path:
    """A new folder; it is gone when the kernel is."""
    return Path(tempfile.mkdtemp(dir=_scratch()))


def lora_config(*targets: str) -> LoraConfig:
    """r = 4, α = 8 on the layers named, or on every Linear but the head."""
    return LoraConfig(r=4, lora_alpha=8, target_modules=list(targets) or "all-linear")


def adamw(parameters: Iterable[nn.Parameter], learning_rate: float = 1e-2) -> torch.optim.AdamW:
    """AdamW without decay over those of `parameters` that ask for a gradient."""
    return torch.optim.AdamW(
        [p for p in parameters if p.requires_grad], lr=learning_rate, weight_decay=0.0, foreach=False
    )


def learn(model: Any, optimizer: torch.optim.Optimizer, steps: int = 20, ids: Tensor = IDS) -> list[float]:
    """Learn `ids` by heart; the loss of each step, in nats per token."""
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


@torch.no_grad()
def loss_of(model: Any, ids: Tensor = IDS) -> float:
    """The loss on `ids`, in nats per token."""
    return float(model.eval()(input_ids=ids, labels=ids).loss)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    """The logits of IDS, rows × tokens × vocabulary."""
    return model.eval()(input_ids=IDS).logits


def gradients(model: Any) -> dict[str, Tensor]:
    """The gradient of every lora_B after one batch, by name; zeros where none came."""
    model.train().zero_grad(set_to_none=True)
    model(input_ids=IDS, labels=IDS).loss.backward()
    named = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in named.items()}


def heard(found: dict[str, Tensor]) -> int:
    """How many of these gradients are not zero."""
    return sum(bool(gradient.any()) for gradient in found.values())


def weights_of(model: nn.Module, part: str) -> dict[str, Tensor]:
    """Copies of the parameters with `part` in their names."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if part in name}


def moved(model: nn.Module, before: dict[str, Tensor]) -> int:
    """How many of the tensors in `before` are other ones now."""
    now = dict(model.named_parameters())
    return sum(not torch.equal(now[name], tensor) for name, tensor in before.items())
