"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


def _block() -> Stage:
    from .block import block

    return block()


def _fit() -> Stage:
    from .widget import fit

    return fit()


live("block", "widget.block()", _block)
live(
    "fit",
    "widget.fit()",
    _fit,
    {
        "card": ["8 GB", "12 GB", "T4", "RTX 4090", "A100 80"],
        "r": [8, 16, 64],
        "batch_size": [1, 8],
        "seq": [2**n for n in range(5, 18)],
    },
    apart=("model", "method"),
    controls=7,
)
