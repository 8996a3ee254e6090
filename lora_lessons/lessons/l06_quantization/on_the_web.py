"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


def _codebook_bench() -> Stage:
    import torch
    from torch import nn

    from ... import models
    from . import widget

    base = models.load(precision="fp32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        matrices = {
            "q_proj of block 10": base.model.get_submodule("model.layers.10.self_attn.q_proj").weight.detach(),
            "normal noise": torch.randn(4096),
            "fresh nn.Linear": nn.Linear(64, 64).weight,
        }
    return widget.codebook_bench(matrices)


live("codebook_bench", "widget.codebook_bench(", _codebook_bench, controls=4)
