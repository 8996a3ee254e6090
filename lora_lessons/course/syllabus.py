"""The course on one page: every lesson's question, what you can do after it, what time it takes,
and three ways through."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from .lesson import DEEPER, lessons, number_of, question, side_trips


class Planned(NamedTuple):
    """A lesson of the plan."""

    question: str
    afterwards: str  # "you can …"
    besides: str = ""  # what it takes or gains besides a CPU and memory


SYLLABUS: dict[str, Planned] = {
    "00": Planned(
        "What is LoRA, in five minutes?", "teach a model a new voice, and say what was trained and how large it is"
    ),
    "01": Planned("How much of a matrix can you throw away?", "cut a matrix to rank r and say what is lost"),
    "02": Planned("What is the smallest update that could work?", "write the LoRA layer and count what it trains"),
    "03": Planned("Can B·A do what full fine-tuning does?", "train a model both ways and compare them fairly"),
    "04": Planned("Is the library doing the same thing?", "use PEFT, and catch its silent mistakes"),
    "05": Planned("Which rank? Which alpha?", "choose r and alpha on evidence"),
    "06": Planned("What do 4 bits lose?", "write NF4 and measure its error"),
    "07": Planned("Does the 4-bit base cost quality?", "train with QLoRA and account for every byte"),
    "08": Planned("Will a real 7B train on my card?", "train a 7B, or say beforehand why not", "a GPU makes it a 7B"),
    "09": Planned("What can one small file change?", "make, mix and merge adapters"),
    "10": Planned(
        "Does it still work outside Python?",
        "ship an adapter to llama.cpp and Ollama, and choose a format",
        "1 GB of disk meanwhile",
    ),
    "11": Planned(
        "Is it yours, and is it any good?", "fine-tune on data of your own, and say honestly whether it helped"
    ),
    "12": Planned("The bug museum, hall 1: can you see what is wrong?", "diagnose training that goes wrong in silence"),
    "13": Planned(
        "Can you teach a preference? A reward?", "train on pairs with DPO or on a reward, and say what it costs"
    ),
    "14": Planned(
        "Can a model learn from a teacher?", "distil a teacher into a student, and say what its probabilities add"
    ),
}


# The lessons in four groups, each by its first.
GROUPS = {"What LoRA is": "00", "Set it well": "04", "In 4 bits": "06", "Put to use": "09"}


def group_of(number: str) -> str:
    """The group of a lesson, by its number, such as "05"."""
    return max((first, name) for name, first in GROUPS.items() if first <= number)[1]


class Route(NamedTuple):
    """A way through the course: its lessons, and the hours that it takes to read and run, to build by hand,
    and for other exercises."""

    name: str
    lessons: Sequence[str]
    hours: str
    by_hand: str
    exercises: str


MAIN = tuple(SYLLABUS)[:9]
WAYS = (
    Route("An evening", ("00", "02", "03", "05", "08"), "2", "¾", "¼"),
    Route("A day", MAIN, "4", "1½", "½"),
    Route("All of it", tuple(SYLLABUS), "6½", "1½", "3¼"),
)

# Estimates: readers took so long to read a lesson with its code, pictures and outputs.
WORDS_A_MINUTE, MINUTES_A_CELL = 150, 0.75
_SEEN = re.compile(
    r"<!--.*?-->|<details>.*?</details>|<[^>]+>|~~~.*?~~~|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)", re.S
)
_EXERCISE = re.compile(r"^### Exercise .*? (\d+) minutes?\b(.*)", re.M)


def words_seen(notebook: Any) -> int:
    """The words of a notebook that are not folded away, without code, formulas, comments and markup."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return len(re.findall(r"[A-Za-z]{2,}", _SEEN.sub(" ", text)))


def cells_seen(notebook: Any) -> int:
    """The code cells whose code a reader sees."""
    return sum(cell.cell_type == "code" and not _folded(cell) for cell in notebook.cells)


def pictures_seen(notebook: Any) -> int:
    """The code cells whose code is folded and whose picture a reader sees."""
    folded = [cell for cell in notebook.cells if cell.cell_type == "code" and _folded(cell)]
    return sum(any("image/png" in output.get("data", {}) for output in cell.outputs) for cell in folded)


def _folded(cell: Any) -> bool:
    return not {"hide-input", "hide-cell", "remove-cell"}.isdisjoint(cell.metadata.get("tags", []))


def learning_minutes(notebook: Any) -> tuple[int, int]:
    """Minutes to read a notebook, its folded hints left out; and those of its exercises,
    as their titles estimate them."""
    cells = cells_seen(notebook) + pictures_seen(notebook)
    reading = words_seen(notebook) / WORDS_A_MINUTE + MINUTES_A_CELL * cells
    return round(reading), sum(minutes for minutes, _ in _exercises(notebook))


def minutes_by_hand(notebook: Any) -> int:
    """Minutes of those exercises that build what later cells and lessons use."""
    return sum(minutes for minutes, by_hand in _exercises(notebook) if by_hand)


def _exercises(notebook: Any) -> list[tuple[int, bool]]:
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [(int(minutes), rest.endswith(" · by hand")) for minutes, rest in _EXERCISE.findall(text)]


def ways() -> list[str]:
    """The three ways, a sentence each."""
    listed = [
        f"lessons {', '.join(WAYS[0].lessons)} (what the others build is given)",
        f"lessons 00 to {MAIN[-1]}",
        "every lesson",
    ]
    said = []
    for one, which in zip(WAYS, listed, strict=True):
        by_hand = f"{one.by_hand} more to build by hand what later lessons use"
        more = f"{by_hand}, and {one.exercises} for the other exercises" if one.exercises else f"and {by_hand}"
        said.append(f"{one.name}: {which}, about {one.hours} hours to read and run, {more}.")
    return said


def course_map() -> Any:
    """The ways through the course; unfolded, a table of it in its groups, with links. A side trip is named by its
    question, and a lesson that is not there yet is marked "to come"."""
    from IPython.display import HTML

    here, rows = {path.stem[:2]: path.name for path in lessons()}, []
    heads_of = {first: group for group, first in GROUPS.items()}
    for number, lesson in SYLLABUS.items():
        if group := heads_of.get(number):
            rows.append(f"<tr class='group'><th colspan='4' style='text-align:left'>{html.escape(group)}</th></tr>")
        deeper = [_link(f"{DEEPER}/{p.name}", question(p)) for p in side_trips() if number_of(p.stem) == number]
        where = "<i>to come</i>"
        if number in here:
            where = "<br>".join([_link(here[number], here[number].removesuffix(".ipynb")), *deeper])
        cells = (number, html.escape(lesson.question), html.escape(lesson.afterwards), where)
        rows.append("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>")
    heads = "".join(
        f"<th style='text-align:left'>{head}</th>" for head in ("", "question", "afterwards you can", "notebook")
    )
    three = "".join(f"<li>{html.escape(way)}</li>" for way in ways())
    table = f"<table><tr>{heads}</tr>{''.join(rows)}</table>"
    folded = f"<details><summary>All lessons, with links</summary>{table}</details>"
    return HTML(f"<p>Three ways through:</p><ul>{three}</ul>{folded}")


def _link(notebook: str, words: str) -> str:
    """A link to a notebook of the course, from one that lies in the same folder as the lessons."""
    return f"<a href='{html.escape(notebook)}'>{html.escape(words)}</a>"
