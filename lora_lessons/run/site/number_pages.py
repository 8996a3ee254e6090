"""The pages that tell where numbers come from: one of each lesson's records, and one of what others published."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...course.prose import Quoted, quoted_numbers
from ...course.records import MIME, show_value
from ..baselines import read_baseline
from ..result import plain
from .arithmetic import measured_on, names_in, part_of, readable, tells, value_of, with_unit
from .published_page import lesson_link, published_page, quotes
from .tables import code, link, table
from .where import PUBLISHED, Measured, allowed, anchor_of, of_the_run, page_of, where

if TYPE_CHECKING:
    from nbformat import NotebookNode


def pages(notebooks: Mapping[str, NotebookNode], measured: Measured | None = None) -> dict[str, str]:
    """Each page of numbers by its docname, as MyST, for these notebooks by place.

    With `measured`, a column says what that run found.
    """
    stems = {place.rpartition("/")[2]: notebook for place, notebook in notebooks.items()}
    recorded = {stem: notebook for stem, notebook in stems.items() if read_baseline(stem)}
    made = {page_of(stem): _lesson_page(stem, notebook, measured) for stem, notebook in recorded.items()}
    return made | {PUBLISHED: published_page(recorded)}


def cell_anchor(cell: NotebookNode) -> str:
    """The name of a code cell's place on its lesson's page."""
    return f"cell-{cell.id}"


def _lesson_page(stem: str, notebook: NotebookNode, measured: Measured | None) -> str:
    baseline: Any = read_baseline(stem)
    entries = baseline["records"] | baseline.get("volatile", {})
    cells = _places(stem, notebook)
    title = plain(notebook.cells[0].source.splitlines()[0].removeprefix("# "))
    parts = [
        f"# Numbers of lesson {title}",
        _introduction(stem, baseline, len(entries)),
        table(*_records(stem, entries, cells, measured)),
    ]
    quoted = quotes(notebook)
    if worked := {one.what: one for one in quoted if one.kind == "calc" and tells(one)}:
        parts += [
            "## Worked out",
            _WORKED_OUT,
            table(("arithmetic", "its parts", "in the prose"), _worked(stem, worked)),
        ]
    if copied := {one.what: one for one in quoted if one.kind == "code"}:
        rows = [
            (code(what, where(one, stem).anchor), lesson_link(stem, _heading_of(what, notebook)), _reads(one))
            for what, one in copied.items()
        ]
        parts += ["## Quoted from the code", _COPIED, table(("code", "in a cell under", "in the prose"), rows)]
    return "\n\n".join(parts)


_WORKED_OUT = "These numbers were not measured. Each follows from the arithmetic beside it."
_COPIED = "These numbers stand in a code cell of the lesson."


def _introduction(stem: str, baseline: Mapping[str, Any], count: int) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    seeds = max((len(entry["seeds"]) for entry in baseline["records"].values()), default=1)
    said = (
        f"{lesson_link(stem, 'The lesson')} recorded {count} numbers on this machine: {measured_on(stem)}. "
        f"It was run with {f'{seeds} seeds, and the value shown is the first seed’s' if seeds > 1 else 'one seed'}. The course's "
        "tests fail where a run measures what they do not allow: a little more than the range of the seeds and of a second machine, "
        "where there was one, or else a fixed share of the value. That range is no confidence interval."
    )
    apart = (
        "The pictures and outputs on the lesson’s page may be of another run, also of another machine, which a caption names where it "
        "matters: their last digits may then differ from these. Where a lesson reads a recorded experiment, that has seeds of "
        "its own, which its text names; the seeds here are those of the lesson."
    )
    return f"{said} {apart}\n\nThe run took {baseline['seconds']:.0f} seconds, with {versions}."


_COLUMNS = ("record", "value", "the tests allow", "the lesson’s seeds", "in the lesson")


def _records(
    stem: str, entries: Mapping[str, Any], cells: Mapping[str, str], measured: Measured | None
) -> tuple[tuple[str, ...], Iterator[tuple[str, ...]]]:
    """The columns and the rows of the table of records."""
    rows = (_record_row(name, entry, cells.get(name, "")) for name, entry in entries.items())
    if measured is None:
        return _COLUMNS, rows
    found = (html.escape(of_the_run(measured, stem, name)) for name in entries)
    return (*_COLUMNS, "this run"), ((*row, one) for row, one in zip(rows, found, strict=True))


def _record_row(name: str, entry: Mapping[str, Any], measured: str) -> tuple[str, ...]:
    shown = code(name, anchor_of(name))
    if "seeds" not in entry:
        value = with_unit(entry["value"], entry["unit"])
        return shown, html.escape(value), "volatile: it depends on the machine", "one run", measured
    seeds = [show_value(value) for value in entry["seeds"]]
    ran = ", ".join(seeds) if len(set(seeds)) > 1 else f"the same with {len(seeds)} seeds" if len(seeds) > 1 else "one"
    return (
        shown,
        html.escape(with_unit(entry["expected"], entry["unit"])),
        html.escape(allowed(entry)),
        html.escape(ran),
        measured,
    )


def _cells(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Each cell with the words of the section's heading above it, or of the last in it; an exercise is no section."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for words in re.findall(r"^#+ (?!Exercise )(.+)$", cell.source, re.M):
                heading = plain(words)
        yield heading, cell


def measured_in(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """Of each record, the heading and the anchor of the cell that recorded it."""
    return {
        record["name"]: (heading, cell_anchor(cell))
        for heading, cell in _cells(notebook)
        for output in cell.get("outputs", ())
        for record in output.get("data", {}).get(MIME, [])
    }


def quoted_anchor(record: str) -> str:
    """The name of the place where a lesson's prose quotes one of its records first."""
    return f"quoted-{anchor_of(record)}"


def _quoted_under(notebook: NotebookNode) -> dict[str, str]:
    """Each record that the prose of its own lesson quotes, with the heading above the first quotation."""
    found: dict[str, str] = {}
    heading = ""
    for line in "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown").split("\n"):
        if title := re.match(r"#{1,6} (.*)", line):
            heading = heading if title[1].startswith("Exercise ") else plain(title[1])
            continue
        for one in quoted_numbers(line):
            if one.kind == "record":
                found.setdefault(one.what, heading)
    return found


def _places(stem: str, notebook: NotebookNode) -> dict[str, str]:
    """Of each record, links to where the lesson uses it first, and to the cell that recorded it."""
    used = _quoted_under(notebook)
    links = {}
    for name, (heading, anchor) in measured_in(notebook).items():
        recorded = lesson_link(stem, heading, f"#{anchor}")
        if name not in used or used[name] == heading:
            links[name] = recorded
        else:
            links[name] = f"{lesson_link(stem, used[name], f'#{quoted_anchor(name)}')}; recorded under {recorded}"
    return links


def _heading_of(code: str, notebook: NotebookNode) -> str:
    """The heading above the first cell that holds `code`."""
    return next((heading for heading, cell in _cells(notebook) if cell.cell_type == "code" and code in cell.source), "")


def _worked(stem: str, quoted: Mapping[str, Quoted]) -> Iterator[tuple[str, ...]]:
    for what, one in quoted.items():
        found = where(one, stem)
        linked = readable(what, lambda name: _name(name, stem))
        told = "<br>".join(html.escape(part_of(name, stem)) for name in names_in(what)) or "—"
        yield f'<code id="{found.anchor}">{linked}</code>', told, _reads(one)


def _name(name: str, stem: str) -> str:
    """The value of a name in an arithmetic, linked to its record where it is one, or to what was published."""
    shown = html.escape(value_of(name, stem))
    if name.startswith(("lora_lessons.", "measurements:", "lesson ")):
        return shown
    kind, what = ("published", name.removeprefix("published:")) if name.startswith("published:") else ("record", name)
    return link(where(Quoted("0", kind, what, False), stem).href("../"), shown)


def _reads(one: Quoted) -> str:
    return f"{one.low}–{one.number}" if one.low else f"{one.number}{'%' if one.percent else ''}"
