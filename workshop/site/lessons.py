"""A notebook as a page: where its links lead, how its headings step down, and what its cells show.

The page “symptom → suspects” is made in the same way.
"""

from __future__ import annotations

import copy
import html
import posixpath
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from lora_lessons.course.claims import read_card
from lora_lessons.course.lesson import DEEPER
from lora_lessons.course.records import MIME as RECORDS
from lora_lessons.outside import visible
from lora_lessons.paths import course_root

from ..badges import address
from . import glossary, number_pages
from .claims_page import claim_anchor
from .number_pages import cell_anchor

if TYPE_CHECKING:
    from nbformat import NotebookNode


FOLDER = "lessons"  # of the pages that are notebooks
SYMPTOMS = "symptoms"  # the one page beside the notebooks that is no notebook
_CODE_OR_FORMULA = r"```.*?```|~~~.*?~~~|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]*\$"
_LINK = re.compile(rf"{_CODE_OR_FORMULA}|(?<=\]\()(?P<target>(?!\w+:|#)[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))", re.DOTALL)
_BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\((?P<colab>[^)]*)\)")
_TO_THE_MAP = re.compile(r"(?<=\[)(?P<words>Map of the course|Course map)\]\([^)]*\)")
_HEADING = re.compile(r"#+(?= )")
_TIME = "⏱ "  # a sign that many machines' fonts lack


def page(notebook: NotebookNode, place: str, places: Collection[str]) -> NotebookNode:
    """The notebook at `place` as the source of its page; `places` are those that the site has,
    "symptoms" among them."""
    from nbformat.v4 import new_markdown_cell

    made = copy.deepcopy(notebook)
    badge = _BADGE.search(made.cells[0].source) if made.cells else None
    door = Door(badge["colab"] if badge else "", posixpath.basename(f"{place}.ipynb"))
    outline, seen, quoted = Outline(), set[str](), set[str]()
    cells: list[NotebookNode] = []
    for cell in made.cells:
        if cell.cell_type == "markdown":
            text = _of_the_site(linked(cell.source, place, places), number_pages.up(place)).replace(_TIME, "")
            text = number_pages.linked(outline.stepped(text), place, quoted)
            cell.source = glossary.hinted(text, seen, place)
            cells.append(cell)
        else:
            cells += shown(cell, door) if cell.cell_type == "code" else [cell]
    if trips := beneath(place, places):
        tree = "\n".join(["```{toctree}", ":hidden:", "", *trips, "```"])
        cells.append(new_markdown_cell(tree, id="side-trips"))
    made.cells = cells
    return made


def beneath(place: str, places: Collection[str]) -> list[str]:
    """The side trips that belong to the lesson at `place`; none to a side trip."""
    return [] if "/" in place else sorted(one for one in places if one.startswith(f"{DEEPER}/{place[:2]}_"))


def linked(markdown: str, place: str, places: Collection[str]) -> str:
    """Markdown of notebooks/`place` whose links into the repository lead to GitHub,
    unless the site has what they mean."""

    def lead(link: re.Match[str]) -> str:
        if link["target"] is None:
            return link[0]
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(place), link["target"]))
        if posixpath.splitext(inside)[0] in places:
            return link[0]
        target = posixpath.normpath(posixpath.join("notebooks", inside))
        return f"{address()}/blob/main/{target}{link['anchor'] or ''}"

    return _LINK.sub(lead, markdown)


def _of_the_site(markdown: str, up: str) -> str:
    """A cell of a page from which the site's root is `up`: it is a recorded run, and there is a map of it."""

    def recorded(badge: re.Match[str]) -> str:
        return (
            "<small>**This is a recorded run:** nothing is computed on this page. To run, type or stop something, open "
            f'it [in Colab]({badge["colab"]}) or <a href="{up}index.html#where-to-start">in JupyterLab</a>.</small>'
        )

    return _BADGE.sub(recorded, _TO_THE_MAP.sub(rf"\g<words>]({up}map.md)", markdown))


class Outline:
    """The headings of a page, which go down one level at a time: readers who hear a page move by them."""

    def __init__(self) -> None:
        self._last = 0

    def stepped(self, markdown: str) -> str:
        """The next cell, a heading raised where it lies two levels below the one before it."""
        lines, code = [], False
        for line in markdown.split("\n"):
            code ^= line.startswith(("~~~", "```"))
            if not code and (marks := _HEADING.match(line)):
                self._last = min(len(marks[0]), self._last + 1)
                line = "#" * self._last + line[marks.end() :]
            lines.append(line)
        return "\n".join(lines)


# Programs read the other kinds; Sphinx would only warn of them.
_SHOWN = ("image/png", "text/html", "text/markdown", "text/plain")
_UNSOLVED = re.compile(r"<b>○ Exercise (?P<id>[\d.]+) ")
_MEASURED = re.compile(r"<table><tr><th>in this lesson</th>.*?</table>", re.S)
_UNBEGUN = re.compile(r"<table>(?:(?!</table>).)*?\b0 of \d+ solved.*?</table>", re.S)
_NO_GUESS = "No prediction yet."
_NOT_GUESSED = " You made no prediction this time."
_TO_A_NOTEBOOK = re.compile(r"(?P<href>href=['\"][\w/.-]+)\.ipynb(?=['\"#])")


class Door(NamedTuple):
    """Where a reader does what a page cannot: the lesson in Colab ("" where it has no badge),
    and its notebook's name."""

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


def shown(cell: NotebookNode, door: Door) -> Iterator[NotebookNode]:
    """The code cell as its page shows it; a cell with several pictures becomes several,
    since each has words of its own.
    """
    made = copy.deepcopy(cell)
    outputs = [
        _shown(output, door, cell_anchor(cell))
        for output in made.outputs
        if not output.get("text", "").endswith(": ready.\n")  # says nothing where no kernel runs
    ]
    for number, made.outputs in enumerate(_by_picture(outputs)):
        if number:
            made = copy.deepcopy(made)
            made.id, made.source, made.metadata = f"{cell.id}-{number}", "", {"tags": ["remove-input"]}
        alt = next((o.metadata["image/png"].get("alt", "") for o in made.outputs if _is_picture(o)), "")
        if alt:
            # in the dark a photograph stays as it is
            kind = "photo" if "needs_background" in str([o.get("metadata") for o in made.outputs]) else "drawing"
            made.metadata["mystnb"] = {**made.metadata.get("mystnb", {}), "image": {"alt": alt, "classes": kind}}
        yield copy.deepcopy(made)


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


def _shown(output: NotebookNode, door: Door, anchor: str) -> NotebookNode:
    """One output as a visitor sees it; what was recorded is unseen, and found by `anchor`."""
    if output.output_type == "stream":
        return _printed(output)
    data = output.get("data", {})
    if "text/html" in data:
        data["text/html"] = f'<span id="{anchor}"></span>' if RECORDS in data else _as_html(data["text/html"], door)
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
        *before, measured = html.escape(text.rstrip().removesuffix(_NOT_GUESSED.strip()).strip()).split("\n")
        return _note("<br>".join([*before, f"<b>{measured}</b> How far off was your guess?"]))
    return output


def _note(words: str) -> NotebookNode:
    from nbformat.v4 import new_output

    return new_output("display_data", {"text/html": f'<p class="guess">{words}</p>', "text/plain": words})


def _as_html(text: str, door: Door) -> str:
    """An output in HTML: long tables folded, since the prose quotes them; links that lead to pages."""
    if unsolved := _UNSOLVED.search(text):
        return door.html(unsolved["id"])
    if card := read_card(text):
        return f'<div class="verdict-card" id="{claim_anchor(card.id)}">{text}</div>'
    if "<details>" not in text and "<code>" in text:  # a scorecard of every record, under its own name
        text = _MEASURED.sub(
            lambda table: _folded("The scorecard: everything that this lesson measured", table[0]), text
        )
    text = _UNBEGUN.sub(lambda table: _folded("Every exercise, and how many you have solved", table[0]), text)
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", _TO_A_NOTEBOOK.sub(r"\g<href>.html", text))


def _folded(what: str, content: str) -> str:
    return f'<details class="records"><summary>{what}</summary>{content}</details>'


# the words that `lora-lessons symptom` takes for one: the page brings them, unseen
_ALIKE = re.compile(r"^<!-- alike: (.+) -->\n", re.M)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.M)


def symptoms_page(places: Collection[str]) -> str:
    """The page as MyST, beside the notebooks at `places`."""
    text = (course_root() / "notebooks" / f"{SYMPTOMS}.md").read_text(encoding="utf-8")
    text = re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M)  # an anchor as Sphinx knows it
    alike = html.escape(",".join(_ALIKE.findall(text)))
    text = _ALIKE.sub("", text)
    text = _TABLE.sub(lambda table: f'<div class="symptoms" data-alike="{alike}">\n\n{table[0]}\n</div>\n', text)
    return linked(text, SYMPTOMS, places)
