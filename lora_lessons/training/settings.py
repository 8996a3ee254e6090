"""How to train, in the words of transformers and PEFT: one object for the loop, the planner and the sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .optimizers import OPTIMIZERS

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
    # do the same with less work where the model is known (lesson 12); False: as transformers does it
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
                f"{self.steps:,} steps of {self.examples_per_step:,} examples are more than {MOST_EXAMPLES:,} examples: give fewer."
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
