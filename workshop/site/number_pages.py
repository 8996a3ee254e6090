"""“Where is this number from?” Every bound number leads to a page that says it: a lesson's records, or what others published."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lora_lessons.course import published
from lora_lessons.course.lesson import place_of
from lora_lessons.course.prose import Quoted, quoted_numbers, with_sources, without_sources
from lora_lessons.course.published import as_printed
from lora_lessons.course.records import MIME, show_value
from lora_lessons.run.baselines import read_baseline
from lora_lessons.run.result import plain

from .finishing import code, link, table
from .where import (
    PUBLISHED,
    Measured,
    allowed,
    anchor_of,
    measured_on,
    names_in,
    of_the_run,
    page_of,
    part_of,
    readable,
    tells,
    value_of,
    where,
    with_unit,
)

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


def published_page(notebooks: Mapping[str, NotebookNode]) -> str:
    quoting: dict[str, list[str]] = {}
    for stem, notebook in notebooks.items():
        for one in quotes(notebook):
            if one.kind == "published" and stem not in (known := quoting.setdefault(where(one, stem).anchor, [])):
                known.append(stem)
    figures = published.figures()
    groups = {row: published.group_of(row) for row in figures}
    tables = []
    for group, about in published.groups().items():
        mine = {row: value for row, value in figures.items() if groups[row] == group}
        source = html.escape(about["source"])
        caption = link(about["url"], source) if "url" in about else source
        rows = [_figure_row(group, row, value, quoting.get(anchor_of(row), [])) for row, value in mine.items()]
        tables.append(table(("figure", "as it was printed", "quoted by"), rows, caption))
    return "\n\n".join(["# Figures that others published", _PUBLISHED, *tables])


_PUBLISHED = (
    "The course did not measure these figures: it quotes them, so that you can hold what the lessons measured against them. "
    "Each stands here as it was printed, under its source."
)


def _figure_row(group: str, row: str, value: Any, stems: list[str]) -> tuple[str, ...]:
    lessons = ", ".join(lesson_link(stem, _short(stem)) for stem in stems) or "no lesson's prose"
    return code(row.removeprefix(f"{group}."), anchor_of(row)), as_printed(value), lessons


def _short(stem: str) -> str:
    return f"lesson {stem[:2]}" if "/" not in place_of(stem) else f"side trip of lesson {stem[:2]}"


def quotes(notebook: NotebookNode) -> list[Quoted]:
    """Every bound number in a notebook's prose."""
    return [one for cell in notebook.cells if cell.cell_type == "markdown" for one in quoted_numbers(cell.source)]


def lesson_link(stem: str, words: str, anchor: str = "") -> str:
    return link(f"../lessons/{place_of(stem)}.html{anchor}", html.escape(words))


# What markdown or its extensions would take for their own inside a tag that stands in a line of text.
_MARKS = re.compile(r"[`$|{}\\\n]")


def up(stem: str) -> str:
    """The way from a lesson's page to the site's root: "../", or "../../" from a side trip."""
    return "../" * (1 + place_of(stem.rpartition("/")[2]).count("/"))


def attribute(text: str) -> str:
    """`text` as the value of an attribute of a tag that stands among markdown."""
    return _MARKS.sub(lambda mark: f"&#{ord(mark[0])};", html.escape(text))


def linked(markdown: str, stem: str, measured: Measured | None = None, quoted_so_far: set[str] | None = None) -> str:
    """A markdown cell's source with every bound number made a link to where it comes from, which its hint says.

    Numbers in headings stay words, because a heading is repeated in the list of contents, as a link itself; so does what
    one plain operation gives, such as the 90% of 9/10. With `measured`, the
    page is of that run's report: hints say what it found, too, and a number without a source here stays a number.
    With `quoted_so_far`, the page's first quotation of each record has a name to lead to, and is added.
    """

    def named(quoted: Quoted) -> str:
        if quoted_so_far is None or quoted.kind != "record" or quoted.what in quoted_so_far:
            return ""
        quoted_so_far.add(quoted.what)
        return f' id="{attribute(quoted_anchor(quoted.what))}"'

    def link(quoted: Quoted, reads: str) -> str:
        if not tells(quoted):
            return reads
        try:
            found = where(quoted, stem, measured)
        except KeyError:
            if measured is None:
                raise
            return reads
        shown, space = reads.rstrip(), reads[len(reads.rstrip()) :]
        href = attribute(found.href(up(stem)))
        return f'<a class="bound" href="{href}" data-hint="{attribute(found.hint)}"{named(quoted)}>{shown}</a>{space}'

    lines = re.split(r"^(#{1,6} .*)$", markdown, flags=re.M)
    return "".join(without_sources(part) if index % 2 else with_sources(part, link) for index, part in enumerate(lines))
