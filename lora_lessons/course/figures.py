"""The colours of a memory bill, which several lessons draw."""

from __future__ import annotations

from .. import memory
from ..drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY

# Of the eight parts of a memory.Bill.
_COLORS = (GREY, ORANGE, BLUE, GREEN, SKY, PURPLE, "#b58900", "#9aa0a6")
BILL_COLORS = dict(zip(memory.Bill(0).parts, _COLORS, strict=True))
