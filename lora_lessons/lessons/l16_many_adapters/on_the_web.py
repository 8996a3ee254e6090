"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


def _many_fit() -> Stage:
    from .widget import many_fit

    return many_fit()


live(
    "many_fit",
    "widget.many_fit()",
    _many_fit,
    {
        "model": ["Llama-2-7B", "Qwen2.5-7B"],
        "targets": ["q and v", "all linear layers"],
        "card": ["T4", "RTX 4090", "A100 80"],
        "texts_gb": [0, 4],
    },
    apart=("model", "card"),
    controls=6,
)
