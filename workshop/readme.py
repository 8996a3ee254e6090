"""What README, three pages of docs/ and the lessons do not write by hand: minutes, tables, the map,
verdict cards."""

from __future__ import annotations

import ast
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat

from lora_lessons import errors, models
from lora_lessons.course.claims import card
from lora_lessons.course.lesson import lessons, question, side_trips
from lora_lessons.course.records import records_of
from lora_lessons.course.syllabus import SYLLABUS, learning_minutes, ways
from lora_lessons.fast.path import FAMILIES
from lora_lessons.files import write_text
from lora_lessons.lessons import all_claims
from lora_lessons.paths import course_root, measurements
from lora_lessons.run.baselines import read_baseline
from lora_lessons.run.result import cards
from lora_tools import papers

from .record.published_memory import jobs_table
from .sizes_tables import sizes_table
from .tools_cases import cases_table, judged_table

FILES = ("README.md", "docs/house.md", "docs/evidence.md", "docs/commands.md")
_MADE = re.compile(
    (
        r"(?P<begin><!-- `python -m workshop readme` makes the (?P<what>[\w ]+) "
        r"-->\n).*?(?P<end>\n<!-- end of the (?P=what) -->)"
    ),
    re.S,
)


def files() -> list[Path]:
    """Those of FILES that this course has."""
    return [file for name in FILES if (file := course_root() / name).is_file()]


def write() -> list[Path]:
    """Make the marked parts of FILES anew; return those that changed."""
    changed = []
    makers: dict[Path, Sequence[Callable[[str], str]]] = {path: [made] for path in files()}
    makers |= {path: [minutes_of(path), cards_of(path)] for path in (*lessons(), *side_trips())}
    for path, make in makers.items():
        before = path.read_text(encoding="utf-8")
        if (after := reduce(lambda text, one: one(text), make, before)) != before:
            write_text(path, after)
            changed.append(path)
    return changed


def made(text: str) -> str:
    """`text` with what stands between its markers made anew."""
    parts = {
        "table of lessons": lessons_table,
        "table of training speed": speed_table,
        "table of reliability": reliability_table,
        "table of sizes": sizes_table,
        "table of published memory": jobs_table,
        "map of the house": house_map,
        "names that a plan knows": names_known,
        "table of papers": papers_table,
        "three cases": cases_table,
        "table of the cases": judged_table,
    }
    return _MADE.sub(lambda part: part["begin"] + parts[part["what"]]() + part["end"], text)


_MINUTES = re.compile(r"\d+(?=<!--calc lesson (reading|exercises|minutes)-->)")


def minutes_of(path: Path) -> Callable[[str], str]:
    """What brings the minutes in a notebook's first lines, those of a learner and of the recorded run, up to date."""
    reading, exercises = learning_minutes(nbformat.read(path, as_version=4))
    said = {"reading": reading, "exercises": exercises} | ({"minutes": took(path)[0]} if took(path)[1] else {})
    return lambda text: _MINUTES.sub(lambda minutes: str(said.get(minutes[1], minutes[0])), text)


def cards_of(path: Path) -> Callable[[str], str]:
    """What brings the verdict cards that a notebook shows up to date:
    other sizes of base may be asked without a run of it."""
    notebook = nbformat.read(path, as_version=4)
    values = {name: one.value for name, one in records_of(notebook).items()}
    judged = {one.id: one for one in all_claims() if one.lesson == path.stem}
    shown = [one for one in cards(notebook) if one.id in judged]
    anew = [(_in_json(one.html()), _in_json(card(judged[one.id], values).html())) for one in shown]
    return lambda text: reduce(lambda so_far, change: so_far.replace(*change), anew, text)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def lessons_table() -> str:
    """One row per lesson: number, question, a learner's minutes and the recorded run's, its memory,
    and the claims that it judges."""
    rows = ["| lesson | question | to read | exercises | to run | memory | claims |", "|---|---|---|---|---|---|---|"]
    for path in lessons():
        number = path.stem[:2]
        minutes, memory = took(path)
        planned = SYLLABUS.get(number)
        besides = f"; {planned.besides}" if planned and planned.besides else ""
        judged = ", ".join(sorted(one.id for one in all_claims() if one.lesson == path.stem))
        read, exercises = learning_minutes(nbformat.read(path, as_version=4))
        rows.append(
            f"| [{number}](notebooks/{path.name}) | {question(path)} | {read} | {exercises} | {minutes} | "
            f"{memory}{besides} | {judged} |"
        )
    return "\n".join([*rows, "", *(f"- {way}" for way in ways())])


def names_known() -> str:
    """The models that `lora-lessons plan` knows by name."""
    return ", ".join(f"`{name}`" for name in models.KNOWN)


def papers_table() -> str:
    """Every claim of a paper, what came of it in miniature, and what was measured."""
    rows = ["## What the papers say", "", "| | a paper's claim | here | what was measured |", "|---|---|---|---|"]
    for row in papers.rows():
        source = f"[{row.source.authors}, {row.source.year}]({row.source.url})"
        found = " ".join(text for text in (row.found, row.at_sizes, f"*What may differ here:* {row.differs}") if text)
        rows.append(f"| {row.id} | {row.claim} ({source}) | {row.verdict} | {found} |")
    more = (
        "“This run cannot tell” means that what we did could not have shown what the paper claims, or could not have "
        "told it from something else. The papers' own sentences stand on the site's page of papers; "
        "`lora-lessons claims` prints them."
    )
    return "\n".join([*rows, "", more])


def took(path: Path) -> tuple[str, str]:
    """The minutes and the memory that the recorded run of a notebook took."""
    baseline = read_baseline(path.stem)
    if not baseline:
        return "not timed yet", ""
    return str(math.ceil(baseline["seconds"] / 60)), f"{math.ceil(baseline['peak_ram_bytes'] / 1e9)} GB"


def speed_table() -> str:
    """What training costs in time, by us and by others, from the recordings of `lora-lessons bench train`.

    Empty while nothing is recorded; of other machines' recordings, the ratios.
    """
    file = measurements() / "training_speed.json"
    others = sorted(measurements().glob("training_speed_*.json"))
    return "\n".join(
        _made_of(*made) for made in [(file, _speed), *((other, _elsewhere) for other in others)] if made[0].is_file()
    )


def _made_of(file: Path, make: Callable[[dict[str, Any]], str]) -> str:
    """What `make` makes of the record in `file`. Raises ValueError when the record is not what it was written as."""
    try:
        return make(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        why = errors.first_line(error)
        raise ValueError(f"{file.name} is damaged ({why}): restore it from git, or record it anew.") from error


def _speed(recording: dict[str, Any]) -> str:
    where = f"{recording['date']} on {_rated(recording)} in {recording['precision']}"
    rows = [
        "## What it costs in time",
        "",
        (
            f"Measured on {where}: {recording['steps']} steps of eight conversations{_lengths(recording)}, "
            "all sides in turn, medians."
        ),
        "",
        (
            "| task | trained by | seconds | supervised tokens per second | held-out loss | peak memory | share "
            "of the machine's limit |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    closing = (
        f"So this course's loop is {_times(recording)} times as fast as Trainer with PEFT, on these short chats and on "
        f"models of the families {', '.join(FAMILIES)}; others train the plain way.{_as_it_comes(recording)} "
        "`lora-lessons bench train` measures it on your machine."
    )
    return "\n".join([*rows, *map(_speed_row, recording["rows"]), "", closing])


def _as_it_comes(recording: dict[str, Any]) -> str:
    """What makes TRL's trainer slow, where it was measured."""
    says = " TRL's SFTTrainer is shown as it comes: it computes each block twice to save memory (checkpointing)."
    return says * any("SFT" in row["side"] for row in recording["rows"])


def _lengths(recording: dict[str, Any]) -> str:
    """How long the conversations of each task are, where the recording says so."""
    lengths = [f"{ours['chat_tokens']:.0f}" for _, ours in _compared(recording) if "chat_tokens" in ours]
    return f" (of {' and '.join(lengths)} tokens on average)" if lengths else ""


def _elsewhere(recording: dict[str, Any]) -> str:
    """A recording of another machine, or of a larger base, in a sentence."""
    of = (
        f"training {models.NAMED[recording['model']].title} in {recording['precision']}, "
        if "model" in recording
        else ""
    )
    where = f"On {_rated(recording)}, {recording['date']}, {of}"
    shares = [ours["share_of_limit"] for _, ours in _compared(recording)]
    least, most = f"{min(shares):.0%}", f"{max(shares):.0%}"
    share = least if least == most else f"{least} to {most}"
    sentence = f"{where}it was {_times(recording)} times as fast, at {share} of that machine's limit."
    if not of:
        return sentence
    ((theirs, ours),) = _compared(recording)  # of a larger base there is one task
    return f"{sentence} It held {ours['peak'] / 1e9:.1f} GB, and Trainer {theirs['peak'] / 1e9:.1f}."


def _rated(recording: dict[str, Any]) -> str:
    """The machine, and what its matrix products reach: two very different ones may go by one name."""
    return f"{recording['machine']} (matrix products of {recording['limit_flops'] / 1e9:.0f} GFLOP/s)"


def _times(recording: dict[str, Any]) -> str:
    """How many times as fast as the Trainer the course is, on each task."""
    rates = [(theirs["supervised_per_second"], ours["supervised_per_second"]) for theirs, ours in _compared(recording)]
    return " and ".join(f"{ours / theirs:.2f}" for theirs, ours in rates)


def _compared(recording: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Of each task the first row, Trainer with PEFT, and the last one, this course."""
    for _, rows in groupby(recording["rows"], key=lambda row: row["task"]):
        theirs, *_, ours = rows
        yield theirs, ours


def _speed_row(row: dict[str, Any]) -> str:
    cells = (
        f"`{row['task']}`",
        row["side"],
        f"{row['seconds']:.1f}",
        f"{row['supervised_per_second']:.0f}",
        f"{row['loss']:.3f} nats",
        f"{row['peak'] / 1e9:.2f} GB",
        f"{row['share_of_limit']:.0%}",
    )
    return f"| {' | '.join(cells)} |"


# How a reader may fail its user: all of these columns should hold zeros.
FAULTS = ("traceback", "hang", "silent", "memory")


def reliability_table() -> str:
    """What became of bad files, kills and sabotages,
    from the records of `pytest -m reliability` and of the sabotages."""
    attacks, sabotages = (measurements() / f"{name}.json" for name in ("reliability", "sabotages"))
    parts = ["## What bad files and kills do to it"]
    if attacks.is_file():
        parts.append(_made_of(attacks, lambda recording: "\n".join(_attacks(recording))))
    else:
        parts.append("Not yet recorded: `.venv/bin/pytest -m reliability --record-reliability` does it.")
    parts.append(_made_of(sabotages, _sabotages) if sabotages.is_file() else "Sabotages of the code: not yet recorded.")
    return "\n\n".join(parts)


def _attacks(recording: dict[str, Any]) -> Iterator[str]:
    """The record's readers by what their files are made of, and the commands that were killed."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in recording["rows"]:
        kinds.setdefault(row["kind"], []).append(row)
    columns = ("inputs", "right", "sentence", *FAULTS)
    yield (
        f"Measured on {recording['date']} on {recording['machine']}, seed {recording['seed']}: each reader got valid "
        "files with something wrong in them. It may give the right result, or one sentence that says what to do. The "
        "last four columns count the faults: a library's error, more than 20 seconds, another result without a word, "
        "twice the usual memory."
    )
    yield from ("", "| files | readers | inputs | right result | sentence | traceback | hang | silent | memory |")
    yield "|" + "---|" * (2 + len(columns))
    for kind, rows in [*sorted(kinds.items()), ("**all**", recording["rows"])]:
        yield _cells(kind, len(rows), *(sum(row[column] for row in rows) for column in columns))
    yield from ("", "| killed at random moments | kills | the same result in the end | lost |", "|---|---|---|---|")
    for row in recording["kills"]:
        yield _cells(row["what"], row["kills"], row["resumed"], row["lost"])
    whole = [sum(row[column] for row in recording["kills"]) for column in ("kills", "resumed", "lost")]
    yield _cells("**all**", *whole)
    yield from ("", "`.venv/bin/pytest -m reliability -n 2` repeats it in about 20 minutes; `make test` runs a sample.")


def _cells(*cells: Any) -> str:
    return f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else str(cell) for cell in cells)} |"


def _sabotages(recording: dict[str, Any]) -> str:
    """How many sabotages of the code turned a test red."""
    caught = [row for row in recording["rows"] if row["caught_by"]]
    slowest = max((row["seconds"] for row in caught), default=0.0)
    return (
        f"The tests were tested, too (on {recording['date']} on {recording['machine']}): of {len(recording['rows'])} "
        f"sabotages of the code and the records, {len(caught)} made a test fail, "
        f"each within {math.ceil(slowest)} seconds of a processor."
    )


def house_map() -> str:
    """One row per module or package of each door, from the bottom floor to the top: what it opens on."""
    rows = ["| room | what it is |", "|---|---|"]
    for place in (course_root() / door / name for door in ("lora_lessons", "lora_tools") for name in _floors(door)):
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        opens_on = " ".join(said.partition("\n\n")[0].split())
        room = f"{place.name}/" if place.is_dir() else f"{place.name}.py"
        rows.append(f"| `{room}` | {opens_on} |")
    return "\n".join(rows)


def _floors(door: str) -> Iterator[str]:
    """The names in `door` in the order of the layers that import-linter holds them to, lowest first."""
    project = tomllib.loads((course_root() / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c.get("containers") == [door])
    floors = [name for layer in reversed(layers) for name in re.findall(r"\w+", layer)]
    here = (course_root() / door).iterdir()
    names = {path.stem for path in here if path.suffix == ".py" or (path / "__init__.py").is_file()} - {"__init__"}
    yield from (name for name in floors if name in names)
    yield from sorted(names - set(floors))
