"""Widgets that answer without a kernel: what they would have drawn is baked into files of the site."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode


def placed(notebook: NotebookNode, stem: str) -> NotebookNode:
    """The notebook with a live widget around the still of each that the site has."""
    return notebook


def bake(into: Path, names: Collection[str] | None = None, progress: Callable[[str], None] = print) -> None:
    """Write the baked widgets `names` (all, where it is None) into the folder `into`."""


def mount(name: str) -> str:
    """The HTML that puts the widget `name` on any page; empty where it is not baked."""
    return ""
