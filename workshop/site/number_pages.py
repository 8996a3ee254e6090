"""“Where is this number from?” A bound number leads to a row that says it: in its lesson's table,
or among what others published."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_lessons.course import published
from lora_lessons.course.lesson import number_of, place_of
from lora_lessons.course.prose import Quoted, listed, quoted_numbers, with_names, with_sources, without_sources
from lora_lessons.course.published import as_printed
from lora_lessons.course.records import MIME, show_value
from lora_lessons.course.syllabus import WORDS_A_MINUTE
from lora_lessons.paths import measurements
from lora_lessons.run.baselines import band, read_baseline
from lora_lessons.run.result import plain

from .finishing import as_code, as_table, attribute, link_to

if TYPE_CHECKING:
    from nbformat import NotebookNode

PUBLISHED = "numbers/published"  # the page of what others published


class Where(NamedTuple):
    """The place that tells of a number, and what a reader is told beside the number, in lines of plain text."""

    page: str
    anchor: str
    hint: str

    def href(self, up: str) -> str:
        """The address from a page that is `up` ("../") below the site's root."""
        return f"{up}{self.page}.html#{self.anchor}"


def page_of(stem: str) -> str:
    """The page that tells of a lesson's numbers."""
    return f"numbers/{stem}"


def anchor_of(what: str) -> str:
    """`what` as the name of a place on a page: without spaces, quotes and brackets."""
    return re.sub(r"[^\w.:()*+/=-]+", "", what)


def where(quoted: Quoted, stem: str) -> Where:
    """Where a number quoted in the prose of `stem` comes from.
    Raises KeyError for a record or a row that there is not."""
    what = quoted.what
    match quoted.kind:
        case "record":
            lesson, name = _split(what, stem)
            entry = _entry(lesson, name)
            lines = [f"{name}: {with_unit(entry)}", f"Recorded by lesson {lesson[:2]} ({_measured_on(lesson)})."]
            limits = [f"The course’s tests allow {allowed(entry)}."] if "seeds" in entry else []
            return Where(page_of(lesson), anchor_of(name), "\n".join([*lines, _gave(entry), *limits]))
        case "published":
            published.figure(what)
            whole, _, end = what.rpartition(".")
            row = whole if end in ("low", "high") and what not in published.figures() else what
            about = published.about(row)
            lines = ["Not measured in this course.", f"Source: {about['source']}.", about.get("url", "")]
            return Where(PUBLISHED, anchor_of(row), "\n".join(filter(None, lines)))
        case "calc":
            told = [_part(name, stem).told for name in names_in(what)]
            worked = f"Worked out: {_readable(what, lambda name: _part(name, stem).value)}"
            lines = told if names_in(what) == [what] else [worked, *told]
            return Where(page_of(stem), anchor_of(f"calc-{what}"), "\n".join(lines))
    return Where(page_of(stem), anchor_of(f"code-{what}"), f"It stands so in this lesson's code: {what}")


# ---- a record ----


def _split(what: str, stem: str) -> tuple[str, str]:
    """The lesson and the name of a record; one without a lesson is of `stem`."""
    lesson, _, name = what.rpartition(":")
    return lesson or stem, name


def _baseline(lesson: str) -> Mapping[str, Any]:
    baseline = read_baseline(lesson)
    if baseline is None:
        raise KeyError(f"{lesson} has no baseline: record it with `lora-lessons run {lesson[:2]} --update-baselines`.")
    return baseline


def _entries(lesson: str) -> dict[str, dict[str, Any]]:
    """What a lesson's baseline says of each record, its `value` among it."""
    baseline = _baseline(lesson)
    steady = {name: entry | {"value": entry["expected"]} for name, entry in baseline["records"].items()}
    return steady | baseline.get("volatile", {})


def _entry(lesson: str, name: str) -> dict[str, Any]:
    """What a lesson's baseline says of one record. Raises KeyError where it has none of that name."""
    entries = _entries(lesson)
    if name not in entries:
        raise KeyError(f"{lesson} records no {name}.")
    return entries[name]


def with_unit(entry: Mapping[str, Any]) -> str:
    """A record's value and its unit."""
    return f"{show_value(entry['value'])} {entry['unit']}".strip()


def _measured_on(lesson: str) -> str:
    """The machine and the date of the run that a lesson's numbers are from."""
    baseline = _baseline(lesson)
    return f"{baseline['machine'].replace('(R)', '')}, {baseline['date']}"


def _gave(entry: Mapping[str, Any]) -> str:
    """What the runs over several seeds and on another machine gave, in sentences."""
    if "seeds" not in entry:
        return "It depends on the machine, so another machine measures something else."
    seeds, elsewhere = ([*map(show_value, entry.get(name, ()))] for name in ("seeds", "elsewhere"))
    if len(seeds) == 1:
        sentence = "The lesson was run with one seed."
    else:
        gave = listed(seeds) if len(set(seeds)) > 1 else "the same"
        sentence = f"Seeds {listed([*map(str, range(len(seeds)))])} gave {gave}."
    return f"{sentence} A second machine gave {listed([*dict.fromkeys(elsewhere)])}." if elsewhere else sentence


def allowed(entry: Mapping[str, Any]) -> str:
    """What the course's tests let another run measure: "0.1 to 0.3", or "nothing else"."""
    if "seeds" not in entry:
        return "any value"
    limits = [show_value(round(limit, 8) or 0) for limit in band(entry) or ()]
    return " to ".join(limits) if len(set(limits)) > 1 else "nothing else"


# ---- an arithmetic ----


class Part(NamedTuple):
    """A name in an arithmetic: its value as it is read, where that is from, and the quotation that leads there,
    if one does."""

    value: str
    told: str
    leads: Quoted | None = None


_ROOM = re.compile(r"lora_lessons\.lessons\.l(\d\d)")


# Of a learner's minutes, as `learning_minutes` counts them.
_ESTIMATES = {
    "lesson reading": (
        f"An estimate: {WORDS_A_MINUTE} words a minute, and half a minute for each cell whose code is shown."
    ),
    "lesson exercises": "An estimate: the sum of the minutes in the titles of the exercises.",
}


def _part(name: str, stem: str) -> Part:
    """What a name in an arithmetic of `stem` stands for, in words."""
    prefix, _, rest = name.rpartition(":")
    if name == "lesson minutes":
        seconds = f"{_baseline(stem)['seconds']:.0f} seconds ({_measured_on(stem)})"
        return Part("the minutes that the run took", f"The recorded run took {seconds}, here in whole minutes.")
    if name in _ESTIMATES:
        return Part(name, _ESTIMATES[name])
    if name == "lesson disk":
        return Part(
            "the disk that the lesson needs", "The course's syllabus says how many gigabytes of disk this lesson needs."
        )
    if name.startswith("lora_lessons."):
        value, room = _words(name.rpartition(".")[2]), _ROOM.match(name)
        owner = f"the code of lesson {room[1]}" if room else "the course’s code"
        return Part(value, f"{value} is a number set in {owner}.")
    if prefix == "measurements":
        file, _, what = rest.partition(".")
        recorded = json.loads((measurements() / f"{file}.json").read_text(encoding="utf-8"))
        for key in what.split("."):
            recorded = recorded[key]
        value = show_value(recorded)
        return Part(value, f"{value} is {_words(what)} in the recorded experiment {_words(file)}.")
    if prefix == "published":
        printed = as_printed(published.figure(rest))
        told = f"{rest} = {printed}: {published.about(rest)['source']}"
        return Part(printed, told, Quoted(printed, "published", rest, False))
    lesson, record = _split(name, stem)
    entry = _entry(lesson, record)
    told = f"{record} = {with_unit(entry)}, recorded by lesson {number_of(lesson)}"
    return Part(show_value(entry["value"]), told, Quoted("", "record", name, False))


def _words(name: str) -> str:
    return f"“{name.lower().replace('_', ' ')}”"


def names_in(expression: str) -> list[str]:
    """The names in an arithmetic, each once."""
    names: list[str] = []
    with_names(expression, lambda name: names.append(name) or name)  # type: ignore[func-returns-value]
    return list(dict.fromkeys(names))


def _readable(expression: str, show: Callable[[str], str]) -> str:
    """An arithmetic as people write one, each of its names as `show` has it."""
    text = re.sub(r"\b1e(\d+)\b", lambda ten: f"{10 ** int(ten[1]):,}", expression)
    return with_names(text.replace("**", "^").replace("*", "×").replace("-", "−"), show)


def tells(quoted: Quoted) -> bool:
    """Whether there is more to say of a number than one operation on two plain numbers, such as 9/10, would."""
    simple = quoted.kind == "calc" and not names_in(quoted.what)
    return not simple or len(re.findall(r"(?<![\w.])\d[\w.]*", quoted.what)) > 2


# ---- in a lesson ----

_HEADING = re.compile(r"^(#{1,6} .*)$", re.M)


def _sections(notebook: NotebookNode) -> Iterator[tuple[str, str, NotebookNode]]:
    """Each cell with the words of the section's heading above it, and its prose, "" for a code cell;
    an exercise is no section.

    A cell with headings comes in parts, one for each.
    """
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            yield heading, "", cell
            continue
        for number, part in enumerate(_HEADING.split(cell.source)):
            words = part.lstrip("# ")
            if number % 2 == 0:
                yield heading, part, cell
            elif not words.startswith("Exercise "):
                heading = plain(words)


def cell_anchor(cell: NotebookNode) -> str:
    """The name of a code cell's place on its lesson's page."""
    return f"cell-{cell.id}"


def measured_in(notebook: NotebookNode) -> dict[str, tuple[str, str]]:
    """Of each record, the heading and the anchor of the cell that recorded it."""
    return {
        record["name"]: (heading, cell_anchor(cell))
        for heading, _, cell in _sections(notebook)
        for output in cell.get("outputs", ())
        for record in output.get("data", {}).get(MIME, [])
    }


def _quoted_anchor(quoted: Quoted) -> str:
    """The name of the place where a lesson's prose quotes this number first."""
    return anchor_of(f"quoted-{quoted.kind}-{quoted.what}")


def quoted_in(notebook: NotebookNode) -> dict[str, tuple[Quoted, str]]:
    """By the place of its first quotation, each number that links in the prose lead from,
    and the heading above that."""
    first: dict[str, tuple[Quoted, str]] = {}
    for heading, prose, _ in _sections(notebook):
        for one in filter(tells, quoted_numbers(prose)):
            first.setdefault(_quoted_anchor(one), (one, heading))
    return first


def up(place: str) -> str:
    """The way from a lesson's page to the site's root: "../", or "../../" from a side trip."""
    return "../" * (1 + place.count("/"))


def linked(markdown: str, place: str, quoted_so_far: set[str]) -> str:
    """A cell of the lesson at `place`, every bound number in it made a link to where it comes from,
    which its hint says.

    Numbers in headings stay words, because a heading is repeated in the list of contents, as a link itself; so does
    what one plain operation gives, such as the 90% of 9/10. The page's first quotation of each has a name to lead to,
    and is added to `quoted_so_far`.
    """

    def link(quoted: Quoted, reads: str) -> str:
        if not tells(quoted):
            return reads
        origin, anchor = where(quoted, place.rpartition("/")[2]), _quoted_anchor(quoted)
        named = "" if anchor in quoted_so_far else f' id="{attribute(anchor)}"'
        quoted_so_far.add(anchor)
        shown, space = reads.rstrip(), reads[len(reads.rstrip()) :]
        href = attribute(origin.href(up(place)))
        return f'<a class="bound" href="{href}" data-hint="{attribute(origin.hint)}"{named}>{shown}</a>{space}'

    parts = enumerate(_HEADING.split(markdown))
    return "".join(without_sources(part) if index % 2 else with_sources(part, link) for index, part in parts)


# ---- the pages ----


def pages(notebooks: Mapping[str, NotebookNode]) -> dict[str, str]:
    """Each page of numbers by its docname, as MyST, for these notebooks by place."""
    stems = {place.rpartition("/")[2]: notebook for place, notebook in notebooks.items()}
    recorded = {stem: notebook for stem, notebook in stems.items() if read_baseline(stem)}
    of_lessons = {page_of(stem): _lesson_page(stem, notebook) for stem, notebook in recorded.items()}
    return of_lessons | {PUBLISHED: _published_page(recorded)}


_COLUMNS = ("number", "value", "the tests allow", "what it rests on", "in the lesson")
_NONE = '<span class="none">—</span>'


def _lesson_page(stem: str, notebook: NotebookNode) -> str:
    """What a lesson recorded, and below it what its prose works out and what it takes from the code, in one table."""
    entries = _entries(stem)
    rows = [*_record_rows(stem, entries, notebook), *_quoted_rows(stem, notebook)]
    title = plain(notebook.cells[0].source.splitlines()[0].removeprefix("# "))
    return "\n\n".join([f"# Numbers of lesson {title}", _introduction(stem, len(entries)), as_table(_COLUMNS, rows)])


def _introduction(stem: str, count: int) -> str:
    baseline = _baseline(stem)
    versions = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    seeds = max((len(entry["seeds"]) for entry in baseline["records"].values()), default=1)
    paragraph = (
        f"{_lesson_link(stem, 'The lesson')} recorded {count} numbers on this machine: {_measured_on(stem)}. "
        f"It was run with {f'{seeds} seeds, and the value shown is the first seed’s' if seeds > 1 else 'one seed'}. "
        "The course's tests fail where a run measures what they do not allow: a little more than the range of the "
        "seeds and of a second machine, where there was one, or else a fixed share of the value. "
        "That range is no confidence interval."
    )
    apart = (
        "The pictures and outputs on the lesson’s page may be of another run, also of another machine, which a caption "
        "names where it matters: their last digits may then differ from these. Where a lesson reads a recorded "
        "experiment, that has seeds of its own, which its text names; the seeds here are those of the lesson."
    )
    return f"{paragraph} {apart}\n\nThe run took {baseline['seconds']:.0f} seconds, with {versions}."


def _record_rows(stem: str, entries: Mapping[str, Any], notebook: NotebookNode) -> Iterator[tuple[str, ...]]:
    """Of each record, with links to where the prose quotes it first and to the cell that recorded it,
    if that is elsewhere."""
    quoted, measured = quoted_in(notebook), measured_in(notebook)
    for name, entry in entries.items():
        place = _lesson_link(stem, *measured[name]) if name in measured else _NONE
        anchor = _quoted_anchor(Quoted("", "record", name, False))
        if name in measured and anchor in quoted and quoted[anchor][1] != measured[name][0]:
            place = f"{_lesson_link(stem, quoted[anchor][1], anchor)}; recorded under {place}"
        told = (html.escape(text) for text in (with_unit(entry), allowed(entry), _gave(entry)))
        yield as_code(name, anchor_of(name)), *told, place


def _quoted_rows(stem: str, notebook: NotebookNode) -> Iterator[tuple[str, ...]]:
    """Of each number that was not measured, but worked out or taken from the code."""
    for quoted, (one, heading) in quoted_in(notebook).items():
        anchor = where(one, stem).anchor
        reads = f"{one.low}–{one.number}" if one.low else f"{one.number}{'%' if one.percent else ''}"
        place = _lesson_link(stem, heading, quoted)
        if one.kind == "calc":
            worked = _readable(one.what, lambda name: _led(_part(name, stem), stem))
            told = "<br>".join(["Worked out.", *(html.escape(_part(name, stem).told) for name in names_in(one.what))])
            yield f'<code id="{anchor}">{worked}</code>', reads, _NONE, told, place
        elif one.kind == "code":
            yield as_code(one.what, anchor), reads, _NONE, "It stands so in the lesson’s code.", place


def _led(part: Part, stem: str) -> str:
    """The value of a name in an arithmetic, linked to its record or to what was published."""
    value = html.escape(part.value)
    return link_to(where(part.leads, stem).href("../"), value) if part.leads else value


_PUBLISHED = (
    "The course did not measure these figures: it quotes them, so that you can hold what the lessons measured against "
    "them. Each stands here as it was printed, under its source."
)


def _published_page(notebooks: Mapping[str, NotebookNode]) -> str:
    """What others published: a table for each source, with the lessons that quote a figure."""
    quoting: dict[str, dict[str, str]] = {}
    for stem, notebook in notebooks.items():
        for anchor, (one, _) in quoted_in(notebook).items():
            if one.kind == "published":
                lesson = f"{'side trip of ' if '/' in place_of(stem) else ''}lesson {number_of(stem)}"
                quoting.setdefault(where(one, stem).anchor, {}).setdefault(stem, _lesson_link(stem, lesson, anchor))
    figures, parts = published.figures(), ["# Figures that others published", _PUBLISHED]
    for group, about in published.groups().items():
        source = html.escape(about["source"])
        rows = [
            (
                as_code(row.removeprefix(f"{group}."), anchor_of(row)),
                as_printed(value),
                ", ".join(quoting.get(anchor_of(row), {}).values()) or "no lesson's prose",
            )
            for row, value in figures.items()
            if published.group_of(row) == group
        ]
        caption = link_to(about["url"], source) if "url" in about else source
        parts.append(as_table(("figure", "as it was printed", "quoted by"), rows, caption))
    return "\n\n".join(parts)


def _lesson_link(stem: str, words: str, anchor: str = "") -> str:
    return link_to(f"../lessons/{place_of(stem)}.html{f'#{anchor}' if anchor else ''}", html.escape(words))
