"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...course.on_the_web import live

if TYPE_CHECKING:
    from ...course.stage import Stage


def _rank_explorer() -> Stage:
    from ... import lora, models
    from . import pictures, spectra, widget

    base = models.load(precision="fp32")
    targets = lora.resolve_targets(base.model, "all-linear")
    W = {name: base.model.get_submodule(name).weight.detach() for name in targets}
    return widget.rank_explorer({"photograph": pictures.photograph(), **spectra.by_layer(W)})


live(
    "rank_explorer",
    "widget.rank_explorer(",
    _rank_explorer,
    {"name": ["photograph", "layer 0", "layer 15"]},
    apart=("name", "kind"),
    controls=3,
)
