"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

import torch
from torch import nn

from ... import models
from ...course.on_the_web import live
from ...course.stage import Stage
from . import widget


def bench() -> Stage:
    """The codebook bench as the lesson's cell makes it."""
    base = models.load(precision="fp32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return widget.codebook_bench(
            {
                "q_proj of block 10": base.model.get_submodule("model.layers.10.self_attn.q_proj").weight.detach(),
                "normal noise": torch.randn(4096),
                "fresh nn.Linear": nn.Linear(64, 64).weight,
            }
        )


live("bench", "widget.codebook_bench(", bench)
