"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


def _scale_lab() -> Stage:
    from .widget import scale_lab

    return scale_lab()


live("scale_lab", "widget.scale_lab()", _scale_lab, controls=5, ends=True)
