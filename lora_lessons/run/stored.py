"""Notebooks as they are stored: their outputs without the traces of one run on one machine."""

from __future__ import annotations

import base64
import copy
import html
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..drawing import IN_WORDS, PICTURE_HTML, png_size
from ..files import whole_file
from ..paths import course_root

if TYPE_CHECKING:
    from nbformat import NotebookNode

_RUN_METADATA = ("papermill", "execution", "ExecuteTime", "scrolled", "collapsed")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_BAR = re.compile(r"\d+%\|.*\|| \[\d+:\d\d(?:<|,)|\d+(?:\.\d+)?\s?(?:it|s)/(?:s|it)\b")
# What a training or a first fetch says of itself: other words where it was found and not made, other seconds elsewhere.
_TRAINING = re.compile(
    r"Reused: the same run finished on |Resumed at step \d|\d+ of \d+ runs are done already\."
    r"|Trained \d+ steps in |This model trains the plain way: |Your own \w+ trains, about half as fast "
    r"|Preparing the model |Fetching the encoder "
)


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy of `notebook` as the course stores it.

    Execution counts run 1, 2, 3 …; gone are injected parameters, papermill's and the kernel's metadata, stderr,
    progress bars, and what a training says of itself; split streams are joined. Cell ids, tags and sources stay. Raises
    ValueError naming the cell whose output holds a path of this machine.
    """
    made = copy.deepcopy(notebook)
    made.cells = [cell for cell in made.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    made.metadata = type(made)(
        kernelspec={"display_name": "Python 3", "name": "python3"}, language_info={"name": "python"}
    )
    count = 0
    for number, cell in enumerate(made.cells, 1):
        for key in _RUN_METADATA:
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type != "code":
            continue
        executed = cell.get("execution_count") is not None
        count += executed
        cell.execution_count = count if executed else None
        cell.outputs = as_stored(cell.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
        if path := next(_local_paths(cell.outputs), None):
            raise ValueError(
                f"the output of cell {number} ({cell.source.strip().splitlines()[0]}) shows {path}, a path of this "
                "machine: print a path relative to the course, or only the file's name."
            )
    return made


def as_stored(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """A cell's outputs as the course stores them (see `normalise`); those given may be changed."""
    kept: list[NotebookNode] = []
    for output in outputs:
        for key in _RUN_METADATA:
            output.get("metadata", {}).pop(key, None)
        if output.output_type != "stream":
            if "text/html" in output.get("data", {}):
                output.data.pop(_WIDGET, None)  # a widget of ours leaves its still: its model is gone with the kernel
            bar = _WIDGET in output.get("data", {}) and _BAR.search(_text(output.data.get("text/plain", "")))
            kept += [] if bar else _as_picture(output)
        elif output.name == "stdout":
            if kept and kept[-1].output_type == "stream":
                kept[-1].text = _text(kept[-1].text) + _text(output.text)
            else:
                kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = _as_seen(_text(output.text))
    return [output for output in kept if output.output_type != "stream" or output.text.strip()]


def _as_picture(output: NotebookNode) -> list[NotebookNode]:
    """A still in HTML as every other figure is stored, a picture and then its words: so every viewer shows it,
    GitHub's too."""
    from nbformat.v4 import new_output

    still = PICTURE_HTML.fullmatch(_text(output.get("data", {}).get("text/html", "")).strip())
    if still is None:
        return [output]
    del output.data["text/html"]
    output.data["image/png"] = still["png"]
    width, _ = png_size(base64.b64decode(still["png"]))
    output.metadata["image/png"] = {"alt": html.unescape(still["alt"]), "width": width}
    words = {"text/markdown": f"{IN_WORDS} {still['words']}", "text/plain": "<Markdown>"}
    return [output, new_output("display_data", words)]


def _as_seen(text: str) -> str:
    """What a terminal shows in the end, what follows a line's last carriage return;
    without bars and a training's own lines."""
    lines = [line.rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(line for line in lines if not re.search(r"\d+%\|.*\|", line) and not _TRAINING.match(line))


def _text(text: str | list[str]) -> str:
    return "".join(text)


def _local_paths(outputs: list[NotebookNode]) -> Iterator[str]:
    """Paths of this machine that `outputs` hold: in the home, working or temporary folder, or the course's."""
    shown = "\n".join(_strings(outputs)).replace("\\\\", "\\")  # a Windows path inside a repr doubles its backslashes
    temporary = Path(tempfile.gettempdir())
    for place in {Path.home(), Path.cwd(), course_root(), temporary, temporary.resolve()}:
        if len(place.parts) > 1 and re.search(rf"(?<![\w./\\-]){re.escape(str(place))}(?![\w-])", shown):
            yield str(place)


def _strings(shown: Any) -> Iterator[str]:
    """Every text inside an output, pictures aside."""
    if isinstance(shown, str):
        yield shown
    elif isinstance(shown, dict):
        yield from (text for key, part in shown.items() if not key.startswith("image/") for text in _strings(part))
    elif isinstance(shown, list):
        yield from (text for part in shown for text in _strings(part))


def store_outputs(lesson: Path, executed: NotebookNode) -> bool:
    """Put the outputs of `executed` into the notebook `lesson`, normalised; return whether the file changed.

    Raises ValueError when the two do not hold the same cells: the outputs would then not be this lesson's.
    """
    import nbformat

    stored, clean = nbformat.read(lesson, as_version=4), normalise(executed)
    if [(c.cell_type, c.source) for c in stored.cells] != [(c.cell_type, c.source) for c in clean.cells]:
        raise ValueError(f"{lesson.name} has changed since it was executed: run it again before storing its outputs.")
    for mine, theirs in zip(stored.cells, clean.cells, strict=True):
        if mine.cell_type == "code":
            mine.outputs, mine.execution_count = theirs.outputs, theirs.execution_count
    text = nbformat.writes(normalise(stored)) + "\n"
    if text == lesson.read_text(encoding="utf-8"):
        return False
    with whole_file(lesson) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return True
