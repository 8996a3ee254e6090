"""Two controls of the mixer that a screen reader can name: ipywidgets' slider has no name, and its HTML no lasting line."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Scale(anywidget.AnyWidget):
    """A slider from `min` to `max`, named by its description."""

    _esm = Path(__file__).with_name("scale.js")
    _css = (
        ".scale { width: 300px; max-width: 100% } .scale label { display: flex; align-items: center; gap: 8px; height: 32px } "
        ".scale b { width: 104px; text-align: right; font-weight: normal } .scale input { flex: 1; min-width: 120px }"
    )
    value = traitlets.Float(1.0).tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    min = traitlets.Float().tag(sync=True)
    max = traitlets.Float().tag(sync=True)
    step = traitlets.Float(0.1).tag(sync=True)


class Status(anywidget.AnyWidget):
    """A line that says what happens; the box that it stands in becomes a group of the name `group`."""

    _esm = Path(__file__).with_name("status.js")
    value = traitlets.Unicode().tag(sync=True)
    group = traitlets.Unicode().tag(sync=True)
