"""What the Trainer of transformers needs to repeat our loop: our order of examples, our rates, and silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .. import models, training
from ..tasks import Encoded


def quiet(folder: str) -> dict[str, Any]:
    """TrainingArguments that keep the order of the data and every loss, and write nothing but to `folder`."""
    return {
        "output_dir": folder,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "use_cpu": models.best_device() == "cpu",
    }


def in_our_order(examples: Sequence[Encoded], how: training.Settings) -> list[Encoded]:
    """The examples of every step in turn, as `training.train` takes them."""
    return [examples[i] for batch in training.batches(len(examples), how) for i in batch]


def our_rates(model: nn.Module, how: training.Settings) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW over what is trainable, and the schedule of `how`: what Trainer takes as `optimizers`."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=how.learning_rate, weight_decay=0, fused=how.optimizer == "adamw_fused")
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: how.rate(step) / how.learning_rate)
