"""How to train, in the words of transformers and PEFT; AdamW in five ways; and what a run tells, or why it stopped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

# which examples each step sees is drawn before the first one
MOST_EXAMPLES = 10**8
# each step has a seed of its own, a million times the run's and more: it must fit into 64 bits
LARGEST_SEED = 2**40


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train. The learning rate rises over `warmup` steps, then falls linearly towards zero."""

    steps: int = 40
    # examples that go through the model at once; a step sums the gradients of so many such batches
    batch_size: int = 8
    gradient_accumulation_steps: int = 1
    learning_rate: float = 2e-3
    warmup: int = 4
    weight_decay: float = 0.0
    # a longer gradient, all matrices taken as one vector, is shortened to this length; None: as long as it is
    max_grad_norm: float | None = None
    seed: int = 0
    # lora_B learns this many times faster than the rest (LoRA+, Hayou et al. 2024: 16)
    lr_ratio: float = 1.0
    # compute in bf16 while the weights stay fp32 (mixed precision)
    autocast: bool = False
    # keep each block's input only, and compute the block again in backward
    gradient_checkpointing: bool = False
    # one of OPTIMIZERS
    optimizer: str = "adamw"
    # do the same with less work where the model is known (deeper/08_faster); False: as transformers does it
    fast: bool = True
    # in steps; 0: never
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        at_least = {"steps": 1, "batch_size": 1, "gradient_accumulation_steps": 1, "warmup": 0, "checkpoint_every": 0}
        for name, least in at_least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: give a whole number of at least {least}.")
        if self.steps * self.examples_per_step > MOST_EXAMPLES:
            raise ValueError(
                f"{self.steps:,} steps of {self.examples_per_step:,} examples are more than "
                f"{MOST_EXAMPLES:,} examples: give fewer."
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or abs(self.seed) > LARGEST_SEED:
            raise ValueError(f"seed = {self.seed!r}: give a whole number, such as 0.")
        if not _is_number(self.learning_rate) or not 0 < self.learning_rate < 1:
            raise ValueError(
                f"learning_rate = {self.learning_rate!r}: give a number between 0 and 1, such as 2e-3 for LoRA."
            )
        if not _is_number(self.weight_decay) or not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay = {self.weight_decay!r}: give a number of at least 0, such as 0.01.")
        if not _is_number(self.lr_ratio) or not 0 < self.lr_ratio < math.inf:
            raise ValueError(f"lr_ratio = {self.lr_ratio!r}: give a number above 0; 1 is LoRA, 16 is LoRA+'s advice.")
        for name in ("autocast", "gradient_checkpointing", "fast"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} = {getattr(self, name)!r}: give True or False.")
        norm = self.max_grad_norm
        if norm is not None and (not _is_number(norm) or not 0 < norm < math.inf):
            raise ValueError(f"max_grad_norm = {norm!r}: give a number above 0, such as 1.0, or None to clip nothing.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer {self.optimizer!r} is not known: choose from {', '.join(OPTIMIZERS)}.")

    @property
    def examples_per_step(self) -> int:
        """How many examples AdamW hears of before it moves."""
        return self.batch_size * self.gradient_accumulation_steps

    def rate(self, step: int) -> float:
        """The learning rate of `step` (0 … steps − 1)."""
        warmup = min(self.warmup, self.steps - 1)
        rise, fall = (step + 1) / (warmup + 1), (self.steps - step) / (self.steps - warmup)
        return self.learning_rate * min(1.0, rise, fall)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


OPTIMIZERS = ("adamw", "adamw_fused", "adamw_8bit", "paged_adamw", "paged_adamw_8bit")


def make_optimizer(
    name: str,
    parameters: Iterable[Any],
    learning_rate: float,
    weight_decay: float = 0.0,
    device: torch.device | str = "cpu",
) -> Any:
    """AdamW over `parameters` (or groups of them) that lie on `device`.

    PyTorch's own, plain or in one fused kernel; or bitsandbytes': two moments in 8 bits, in memory that a card can
    page out to the host's, or both (QLoRA paper, section 3). On "meta", where the ledger counts, it is what a card has.
    Raises ValueError for a name that is not one of OPTIMIZERS, or a paged one without a card to page from.
    """
    kind = torch.device(device).type
    how: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is not known: choose from {', '.join(OPTIMIZERS)}.")
    if name == "adamw":
        return torch.optim.AdamW(parameters, **how, foreach=True if kind == "meta" else None)
    if name == "adamw_fused":
        return torch.optim.AdamW(parameters, **how, fused=kind != "meta" or None)
    if name.startswith("paged") and kind == "cpu":
        raise ValueError(f"{name} moves moments between a card and the host: on a CPU choose 'adamw_8bit' or 'adamw'.")
    from bitsandbytes import optim

    paged = {"paged_adamw": optim.PagedAdamW, "paged_adamw_8bit": optim.PagedAdamW8bit}
    plain = {"adamw_8bit": optim.AdamW8bit, "paged_adamw": optim.AdamW, "paged_adamw_8bit": optim.AdamW8bit}
    makers = plain if kind == "meta" else plain | paged
    return makers[name](parameters, **how)


def parameter_groups(learned: dict[str, nn.Parameter], lr_ratio: float) -> list[dict[str, Any]]:
    """Every lora_B, which learns `lr_ratio` times as fast, apart from the rest (LoRA+, Hayou et al. 2024)."""
    B = [p for name, p in learned.items() if "lora_B" in name]
    rest = [p for name, p in learned.items() if "lora_B" not in name]
    return [{"params": ps, "times": times} for ps, times in ((rest, 1.0), (B, lr_ratio)) if ps]


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give each of the `parameter_groups` its multiple of `learning_rate`."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["times"]


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message says what was seen and what to change."""


@dataclass
class Training:
    """What a run left behind: the loss of every step and what it cost. The learned weights are in the model."""

    losses: list[float] = field(default_factory=list)
    # how many the whole run takes
    steps: int = 0
    seconds: float = 0.0
    # all tokens that went through the model, and those of them that carried a loss
    tokens: int = 0
    supervised: int = 0
    # AdamW's two moments, with what 8-bit ones are scaled by
    optimizer_bytes: int = 0
    gradient_bytes: int = 0
    # the day it ended, as 2026-11-25
    finished: str = ""
    # of fp16 training; empty otherwise
    loss_scale: dict[str, float] = field(default_factory=dict)
    # read from the cache instead of trained now
    reused: bool = False

    def add(self, loss: float, tokens: int, supervised: int, seconds: float) -> None:
        """Count one more step in."""
        self.losses.append(loss)
        self.tokens += tokens
        self.supervised += supervised
        self.seconds += seconds

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of training time, checkpoints not counted."""
        return self.tokens / self.seconds if self.seconds else 0.0
