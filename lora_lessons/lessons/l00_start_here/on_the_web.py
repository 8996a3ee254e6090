"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from ...course.on_the_web import live
from .block import block
from .widget import LENGTHS, fit

live("block", "widget.block()", block)
live(
    "fit",
    "widget.fit()",
    fit,
    # every second length: two to a doubling
    {"card": ["T4", "RTX 4090", "A100 80"], "r": [8, 64], "batch_size": [1, 8], "seq": LENGTHS[::2]},
    apart=("model", "method"),
)
