"""The widgets of the site: baked into files, put in place of their stills, mounted on any page;
and scenes that a run recorded."""

from __future__ import annotations

import base64
import copy
import gzip
import html
import json
import math
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode

from lora_lessons.course.on_the_web import KINDS, LIVE, SCENE, Kind, Live
from lora_lessons.course.page_half import page_half
from lora_lessons.course.stage import Stage, still_html
from lora_lessons.drawing import IN_WORDS, picture_html, png_size, use_style
from lora_lessons.files import write_text

from .baking import bake_stage

if TYPE_CHECKING:
    from nbformat import NotebookNode


def bake(into: Path, names: Collection[str] | None = None, progress: Callable[[str], Any] = print) -> None:
    """Write NAME.js for each widget, with further parts NAME.1.js …, and the kinds of widgets, to a folder.

    theme/widgets.js expects that folder beside itself, called widgets. Raises ValueError for a name that no room has
    declared.
    """
    for name, kind in KINDS.items():
        write_kind(into, name, kind)
    for name in LIVE if names is None else names:
        progress(f"widget {name}")
        file, parts = bake_stage(declared(name), _stage(declared(name)))
        for number, content in enumerate([file, *parts]):
            written = f"{name}.{number}" if number else name
            write_text(
                into / f"{written}.js", f"lora_lessons_baked({json.dumps(written)}, {json.dumps(packed(content))});\n"
            )


def declared(name: str) -> Live:
    """The widget of this name. Raises ValueError where no room has declared it."""
    if name not in LIVE:
        raise ValueError(f"no widget is called {name!r} on the web: choose from {', '.join(LIVE)}.")
    return LIVE[name]


def packed(content: Any) -> str:
    """JSON, gzipped, in base64: as small on a disk as from a server that compresses."""
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(gzip.compress(plain, mtime=0)).decode()


def _stage(live: Live) -> Stage:
    """The Stage as the lesson's cell makes it."""
    use_style()
    made: Stage = live.make()
    return made


def placed(notebook: NotebookNode, stem: str) -> NotebookNode:
    """A copy of the notebook in which the still of each widget that lives on the web is wrapped, ready to be woken."""
    made = copy.deepcopy(notebook)
    for cell, before in zip(made.cells, notebook.cells, strict=True):
        if cell.cell_type != "code":
            continue
        live = of_cell(cell.source)
        for number, output in enumerate(before.outputs):
            data = output.get("data", {})
            if SCENE in data:
                held = replay(before, number, stem)
            elif live and "image/png" in data:
                held = _holder(live.name, _still(before, number), live.controls)
            else:
                continue
            cell.outputs[number].data = {"text/html": held}
            if "image/png" in data:
                cell.outputs[number + 1].data = {}  # its words, which the holder has
        cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    return made


def replay(cell: NotebookNode, number: int, stem: str, plays: bool = False) -> str:
    """HTML that plays the scene kept with a cell's output of this number: its still, ready to be woken.

    One that `plays` goes once through its stops by itself, and leaves to its page to say when it was recorded.
    """
    kept = cell.outputs[number].data[SCENE]
    if plays:
        kept = {**kept, "note": "", "plays": True}
    return _holder(f"{stem}-{cell.id}", _still(cell, number), inside=kept)


def _still(cell: NotebookNode, number: int) -> str:
    """The still of a widget as one piece of HTML: a picture is stored beside its words."""
    output = cell.outputs[number]
    if "image/png" not in output.data:
        return str(output.data["text/html"])
    caption = cell.outputs[number + 1].data["text/markdown"].removeprefix(IN_WORDS).strip()
    return picture_html(output.data["image/png"], output.metadata["image/png"]["alt"], caption)


def of_cell(source: str) -> Live | None:
    """The widget that lives on the web and that a cell's source shows, if any."""
    return next((live for live in LIVE.values() if live.cell in source), None)


def mount(name: str) -> str:
    """HTML that puts a Stage on any page: its still, ready to be woken, with the room that its controls will take."""
    return _holder(name, still_html(*_stage(declared(name)).still()), declared(name).controls)


def _holder(name: str, still: str, controls: int = 1, inside: Any = None) -> str:
    """The still of a widget with room for its controls; `inside` is a baked file that travels in the page itself."""
    still = re.sub(
        r"\(A picture of a widget: [^)]*\)|Run the cell to use it\.", f"<noscript>({_STILL})</noscript>", still
    )
    file = json.dumps(inside, ensure_ascii=False).replace("<", "\\u003c")
    baked = f'<script type="application/json" class="baked">{file}</script>' if inside else ""
    room = f"--lines: {math.ceil(controls / 2)}; --controls: {controls}"
    return (
        f'<div class="live-widget" data-widget="{html.escape(name)}" style="{room}">'
        f'<div class="still">{_PNG.sub(_sized, still)}</div>{baked}</div>'
    )


_STILL = "A still of a widget. It moves where JavaScript runs."

# the first 24 bytes of a picture, which end in its width and height
_PNG = re.compile(r'src="data:image/png;base64,(?P<head>[\w+/]{32})')


def _sized(picture: re.Match[str]) -> str:
    """A still's picture with its size, so that its place is there before it is."""
    width, height = png_size(base64.b64decode(picture["head"]))
    return f'width="{width}" height="{height}" {picture[0]}'


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


def mount_scene(notebook: NotebookNode, stem: str, name: str, plays: bool = False) -> str:
    """HTML that puts a scene of this notebook on any page: its still, ready to be woken; it `plays` once if you like.

    Raises ValueError where the notebook keeps none of this name, and as `found` does.
    """
    if name not in found(notebook, stem):
        raise ValueError(f"{stem} keeps no scene named {name!r}: {_again(stem)}")
    outputs = ((cell, n) for cell in notebook.cells for n in range(len(cell.get("outputs", []))))
    return next(replay(cell, n, stem, plays) for cell, n in outputs if name_of(cell.outputs[n]) == name)


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


EXPORT = "export default { render };"


def write_kind(into: Path, name: str, kind: Kind) -> None:
    """Write kind.NAME.js, the module and what answers it in place of Python, and kind.NAME.css to a folder."""
    answers = [_read(kind.answers)] if kind.answers else []
    write_text(into / f"kind.{name}.js", "\n".join([wrapped(name, page_half(kind.esm)), *answers]))
    write_text(into / f"kind.{name}.css", _read(kind.css) if kind.css else "")


def wrapped(name: str, module: str) -> str:
    """A widget's module as a classic script that hands its `render` to the host.
    Raises ValueError where it has none."""
    before, export, after = module.rpartition(EXPORT)
    if not export or after.strip() or "import " in before:
        raise ValueError(
            f"the module of {name} must end in {EXPORT!r} and import nothing, so that a page can run it from a disk."
        )
    return f'(() => {{\n{before}\n(globalThis.lora_lessons_widgets ??= {{}})["{name}"] = {{ render }};\n}})();\n'


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
