"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from ...course.on_the_web import live
from .widget import scale_lab

live("scale_lab", "widget.scale_lab()", scale_lab)
