"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from ...course.on_the_web import live
from .start_map import STARTS, start_map
from .widget import layer_anatomy

SIDES = [576, 1536, 4096]  # the base's two, and a 7B's

live("start_map", "widget.start_map()", start_map, {"b": STARTS[::2]})
live(
    "anatomy",
    "widget.layer_anatomy()",
    layer_anatomy,
    {"d": SIDES, "k": SIDES, "lora_alpha": [8, 16, 32], "r": [*range(1, 65), *range(72, 129, 8), *range(160, 513, 32)]},
)
