"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


SIDES = [576, 1536, 4096]  # the base's two, and a 7B's


def _start_map() -> Stage:
    from .start_map import start_map

    return start_map()


def _layer_anatomy() -> Stage:
    from .widget import layer_anatomy

    return layer_anatomy()


live("start_map", "widget.start_map()", _start_map, {"b": [round(n / 5, 1) for n in range(-10, 11)]}, controls=2)
live(
    "layer_anatomy",
    "widget.layer_anatomy()",
    _layer_anatomy,
    {"d": SIDES, "k": SIDES, "lora_alpha": [8, 16, 32], "r": [*range(1, 65), *range(72, 129, 8), *range(160, 513, 32)]},
    controls=4,
    ends=True,
)
