"""What a page shows of a code cell: its outputs as a visitor needs them, who has no kernel and has not begun the lesson."""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ...course.claims import read_card
from ...course.records import MIME as RECORDS
from ...outside import visible
from ..repository import address
from .ledger import claim_anchor
from .number_pages import cell_anchor

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Programs read the other kinds; Sphinx would only warn of them.
_SHOWN = ("image/png", "text/html", "text/markdown", "text/plain")
_UNSOLVED = re.compile(r"<b>○ Exercise (?P<id>[\d.]+) ")
_MEASURED = re.compile(r"<table><tr><th>measured here</th>.*?</table>", re.S)
_UNBEGUN = re.compile(r"<table>(?:(?!</table>).)*?\b0 of \d+ solved.*?</table>", re.S)
_NO_GUESS = "No prediction yet."
_NOT_GUESSED = " You made no prediction this time."
_TO_A_NOTEBOOK = re.compile(r"(?P<href>href=['\"][\w/.-]+)\.ipynb(?=['\"#])")


class Door(NamedTuple):
    """Where a reader does what a page cannot: the lesson in Colab ("" where it has no badge), and its notebook's name."""

    colab: str
    notebook: str

    def html(self, exercise: str) -> str:
        """The way from exercise `exercise` to a kernel that checks it."""
        colab = f'<a href="{html.escape(self.colab)}">in Colab</a>' if self.colab else ""
        home = address()
        commands = f"git clone {home} && cd {home.rpartition('/')[2]}\nmake lab    # then open {self.notebook}"
        return (
            f'<div class="try-it"><span>Do exercise {exercise}, and have your answer checked:</span> {colab} '
            f"<details><summary>in JupyterLab</summary><pre>{html.escape(commands)}</pre></details></div>"
        )


def shown(cell: NotebookNode, door: Door, awaited: bool = False) -> Iterator[NotebookNode]:
    """The code cell as its page shows it; a cell with several pictures becomes several, since each has words of its own.

    What it measured is folded unless it is `awaited`: the prose has just announced it.
    """
    made = copy.deepcopy(cell)
    _fold_code(made)
    outputs = [_shown(output, door, cell_anchor(cell), awaited) for output in made.outputs]
    for number, made.outputs in enumerate(_by_picture(outputs)):
        if number:
            made = copy.deepcopy(made)
            made.id, made.source, made.metadata = f"{cell.id}-{number}", "", {"tags": ["remove-input"]}
        alt = next((o.metadata["image/png"].get("alt", "") for o in made.outputs if _is_picture(o)), "")
        if alt:
            made.metadata["mystnb"] = {**made.metadata.get("mystnb", {}), "image": {"alt": alt}}
        yield copy.deepcopy(made)


def _fold_code(cell: NotebookNode) -> None:
    """Say what is inside a folded input; a single line, which only calls what does the work, is left out."""
    tags = cell.metadata.get("tags", [])
    if "hide-input" in tags and len(cell.source.strip().splitlines()) == 1:
        cell.metadata["tags"] = [*(tag for tag in tags if tag != "hide-input"), "remove-input"]
    elif {"hide-cell", "hide-input"} & {*tags}:
        drawn = "The code that draws this" if any(map(_is_picture, cell.outputs)) else "The code that records this"
        label = "Imports" if "hide-cell" in tags else drawn
        cell.metadata["mystnb"] = {"code_prompt_show": label, "code_prompt_hide": label}


def _is_picture(output: NotebookNode) -> bool:
    return "image/png" in output.get("data", {}) and "image/png" in output.get("metadata", {})


def _by_picture(outputs: list[NotebookNode]) -> list[list[NotebookNode]]:
    """The outputs in groups that hold one picture at most."""
    groups: list[list[NotebookNode]] = [[]]
    for output in outputs:
        if _is_picture(output) and any(map(_is_picture, groups[-1])):
            groups.append([])
        groups[-1].append(output)
    return groups


def _shown(output: NotebookNode, door: Door, anchor: str, awaited: bool) -> NotebookNode:
    """One output as a visitor sees it; records are found by `anchor`, and open where they are `awaited`."""
    if output.output_type == "stream":
        return _printed(output)
    data = output.get("data", {})
    if "text/html" in data:
        data["text/html"] = _as_html(data["text/html"], len(data.get(RECORDS, [])), door, anchor, awaited)
    if data:
        output.data = {kind: data[kind] for kind in _SHOWN if kind in data}
        output.data |= {kind: visible(text) for kind, text in output.data.items() if kind == "text/plain"}
    return output


def _printed(output: NotebookNode) -> NotebookNode:
    """What was printed; of a guess that nobody made, what a reader should do."""
    text = output.text = visible(output.text)
    if text.startswith(_NO_GUESS):
        return _note("Make your guess before you read on. Write it down: a wrong guess teaches most.")
    if text.rstrip().endswith(_NOT_GUESSED.strip()):
        measured = text.rstrip().removesuffix(_NOT_GUESSED.strip()).strip()
        return _note(f"<b>{html.escape(measured)}</b> How far off was your guess?")
    return output


def _note(words: str) -> NotebookNode:
    from nbformat.v4 import new_output

    return new_output("display_data", {"text/html": f'<p class="guess">{words}</p>', "text/plain": words})


def _as_html(text: str, records: int, door: Door, anchor: str, awaited: bool) -> str:
    """An output in HTML: long tables of records folded, since the prose quotes them; links that lead to pages."""
    if unsolved := _UNSOLVED.search(text):
        return door.html(unsolved["id"])
    if records:
        what = f"{records} {'measurements' if records > 1 else 'measurement'} recorded here"
        return _folded(what, text, anchor, awaited)
    if card := read_card(text):
        return f'<div class="verdict-card" id="{claim_anchor(card.id)}">{text}</div>'
    text = _MEASURED.sub(lambda table: _folded("The scorecard: everything that this lesson measured", table[0]), text)
    text = _UNBEGUN.sub(lambda table: _folded("Every exercise, and how many you have solved", table[0]), text)
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", _TO_A_NOTEBOOK.sub(r"\g<href>.html", text))


def _folded(what: str, content: str, anchor: str = "", unfolded: bool = False) -> str:
    named = f' id="{anchor}"' if anchor else ""
    return f'<details class="records"{named}{" open" if unfolded else ""}><summary>{what}</summary>{content}</details>'
