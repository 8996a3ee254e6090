"""Hall 3, training and files: what trained, what was saved, what was loaded and merged."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = ()
