"""Which of this lesson's widgets live on the web, and at which values."""

from __future__ import annotations

from ... import lora, models
from ...course.on_the_web import live
from ...course.stage import Stage
from . import pictures, spectra, widget


def explorer() -> Stage:
    """The rank explorer as the lesson's cell makes it."""
    base = models.load(precision="fp32")
    targets = lora.resolve_targets(base.model, "all-linear")
    W = {name: base.model.get_submodule(name).weight.detach() for name in targets}
    return widget.rank_explorer({"photograph": pictures.photograph()} | spectra.by_layer(W))


live(
    "explorer",
    "widget.rank_explorer(",
    explorer,
    {"name": ["photograph", "layer 0", "layer 15"]},
    apart=("name", "kind"),
)
