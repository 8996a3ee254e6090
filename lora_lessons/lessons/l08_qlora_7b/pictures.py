"""Pictures of lesson 08: what fits on which card, and loss curves."""

from __future__ import annotations

from ...course.pictures import fit_bars as fit_bars
from ...course.pictures import loss_curves as loss_curves
