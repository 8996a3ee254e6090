"""Widgets that play what a run recorded: their scenes lie in the notebook's outputs, beside their stills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...course.scenes import SCENE

if TYPE_CHECKING:
    from nbformat import NotebookNode


def found(notebook: NotebookNode, stem: str) -> dict[str, dict[str, Any]]:
    """The scenes that a notebook keeps, as baked files, by name.

    Raises ValueError, naming the lesson `stem`, for two of one name, or one that is not built as scenes are.
    """
    baked: dict[str, dict[str, Any]] = {}
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if name := name_of(output):
            if name in baked:
                raise ValueError(f"{stem} keeps two scenes named {name!r}: give one of them another name.")
            baked[name] = _file(output["data"][SCENE], stem)
    return baked


def name_of(output: NotebookNode) -> str:
    """The name of the scene that an output keeps; empty where it keeps none."""
    kept = output.get("data", {}).get(SCENE)
    return str(kept.get("name", "")) if isinstance(kept, dict) else ""


def _file(scene: dict[str, Any], stem: str) -> dict[str, Any]:
    parts = {"kind": str, "note": str, "state": dict, "answers": dict}
    for part, built in parts.items():
        if not isinstance(scene.get(part), built):
            again = f"run `lora-lessons run {stem} --update-notebooks`, which stores it anew."
            raise ValueError(f"the scene {scene['name']!r} that {stem} keeps has no {part}: {again}")
    return {part: scene[part] for part in parts}
