"""Hall 2, text and loss: what the model read, what was supervised, how the loss was counted."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = ()
