"""Widgets that play what a run recorded: their scenes lie in the notebook's outputs, beside their stills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...course.on_the_web import KINDS, SCENE
from . import widgets

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


def mount(notebook: NotebookNode, stem: str, name: str) -> str:
    """HTML that puts a scene of this notebook on any page: its still, ready to be woken.

    Raises ValueError where the notebook keeps none of this name, and as `found` does.
    """
    if name not in found(notebook, stem):
        raise ValueError(f"{stem} keeps no scene named {name!r}: {_again(stem)}")
    outputs = ((cell, n) for cell in notebook.cells for n in range(len(cell.get("outputs", []))))
    return next(widgets.replay(cell, n, stem) for cell, n in outputs if name_of(cell.outputs[n]) == name)


def _again(stem: str) -> str:
    return f"run `lora-lessons run {stem} --update-notebooks`, which stores it anew."


def _file(scene: dict[str, Any], stem: str) -> dict[str, Any]:
    parts = {"kind": str, "note": str, "state": dict, "answers": dict}
    for part, built in parts.items():
        if not isinstance(scene.get(part), built):
            raise ValueError(f"the scene {scene['name']!r} that {stem} keeps has no {part}: {_again(stem)}")
    if scene["kind"] not in KINDS:
        raise ValueError(f"{stem} keeps a scene of the kind {scene['kind']!r}, which no room has named for the web.")
    return {part: scene[part] for part in parts}
