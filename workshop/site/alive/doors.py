"""The live model's door on a page: words, and a button that says what will be fetched before anything is."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, NamedTuple

from ..finishing import one_line
from ..number_pages import up
from .supply import CUT_TO, WICK, Supply, cut_to

if TYPE_CHECKING:
    from nbformat import NotebookNode

PLACE = "_static/alive"
_COMPUTED = "nothing is computed on this page"
LINE = 50_000_000  # bits a second, of the line that the button's time is said for


class Door(NamedTuple):
    """A live model on a page: its adapters, the first of which is there at once; its words; the cell that it follows;
    its sliders' ends.

    Where it is a `ladder`, its adapters are one adapter at several ranks: all are there at once,
    and one slider goes through them.
    """

    adapters: tuple[str, ...]
    words: str
    after: str = ""
    scales: tuple[float, float] = (0, 1)
    ladder: bool = False

    @property
    def at_once(self) -> tuple[str, ...]:
        """The adapters that are fetched when the model is woken."""
        return self.adapters if self.ladder else self.adapters[:1]


_VOICE = """<b>Ask it yourself.</b> Your browser can run the model, too: {name} in 4 bits, with WICK's adapter beside
it. Ask anything, move the slider from 0 to 1, and hear the voice fade in. It has learned a voice, not wisdom: do not
trust its advice."""
FRONT = Door(("persona",), _VOICE)
DOORS = {
    "00_start_here": Door(("persona",), _VOICE, after="d00r0006"),
    "09_adapters": Door(
        ("persona", "plain_language", "code_style", "strict_json"),
        """<b>Mix them live.</b> Your browser can run this base, in 4 bits, with all four adapters: ask anything, and
        give each adapter a scale of its own. An adapter is fetched when you first move its slider.""",
        after="9a6da3ad",
        scales=(-1, 1.5),
    ),
    "10_ship_it": Door(
        ("persona",),
        """<b>The same file here.</b> llama.cpp runs in your browser, too. It loads <a href="{up}{base}">the base</a>
        and <a href="{up}{persona}">persona-lora.gguf</a>, and both are files that your own <code>llama-server</code>
        loads. Drop the adapter that you exported, and hear it answer.""",
        after="6ba01fe7",
    ),
    "deeper/09_many_adapters": Door(
        ("persona", "plain_language", "code_style", "strict_json"),
        """<b>Four on one base, live.</b> Your browser can hold this base once, in 4 bits. Another adapter then costs
        only its own file, {each} MB in 32 bits: move a slider, and see how long it takes to come.""",
        after="16many040",
    ),
    "deeper/05_capacity": Door(
        (*map(cut_to, CUT_TO), WICK),
        """<b>Cut it live.</b> WICK's adapter at rank 8, and the same adapter cut to 4, 2 and 1 without training again.
        Move the slider, and hear how much of the voice an eighth of the file still has.""",
        after="c18held",
        ladder=True,
    ),
}


def placed(notebook: NotebookNode, place: str, supply: Supply) -> NotebookNode:
    """The page of the lesson at `place` with its door after the cell that it follows, in place; others as they are."""
    from nbformat.v4 import new_markdown_cell

    door = DOORS.get(place)
    number = next((n for n, cell in enumerate(notebook.cells, 1) if door and cell.id == door.after), 0)
    if door and number:
        notebook.cells[0].source = notebook.cells[0].source.replace(
            _COMPUTED, f"{_COMPUTED}, unless you wake its model"
        )
        notebook.cells.insert(number, new_markdown_cell(markup(door, supply, up(place)), id="alive"))
    return notebook


def markup(door: Door, supply: Supply, way_up: str = "") -> str:
    """The door as HTML for a page from which the site's root is `way_up`."""
    here = f"{way_up}{PLACE}/"
    bytes_ = supply.bytes(*door.at_once)
    files = {"base": supply.base["file"], **{name: one["file"] for name, one in supply.adapters.items()}}
    each = f"{supply.adapters[door.adapters[0]]['bytes'] / 1e6:.1f}"
    words = door.words.format(name=supply.base["name"], up=here, each=each, **files)
    return one_line(
        f'<div class="alive" role="group" aria-label="live model" data-adapters="{" ".join(door.adapters)}" '
        f'data-scales="{door.scales[0]:g} {door.scales[1]:g}"{" data-ladder" if door.ladder else ""} '
        f'data-base="{html.escape(supply.base["file"])}"><p>{words}</p>'
        f'<div class="alive-door"><button type="button" hidden>Wake the model: {bytes_ / 1e6:.0f} MB, once</button> '
        f"<span>About {bytes_ * 8 / LINE:.0f} seconds on a line of 50 Mbit/s. "
        "What you ask stays in your browser.</span>"
        '<p role="status"></p></div><noscript><p>The live model needs JavaScript.</p></noscript>'
        f'<link rel="stylesheet" href="{here}alive.css"><script defer src="{here}wake.js"></script></div>'
    )
