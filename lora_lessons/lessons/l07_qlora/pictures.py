"""Pictures of lesson 07: what fits on which card, and intervals."""

from __future__ import annotations

from ...course.pictures import fit_bars as fit_bars
from ...course.pictures import intervals as intervals
