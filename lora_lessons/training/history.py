"""What a run tells: the loss of every step and what it cost, or why it stopped."""

from __future__ import annotations

from dataclasses import dataclass, field


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
