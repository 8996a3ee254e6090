"""The front page, the map of the lessons, and the order in which pages follow each other."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_lessons.course.lesson import DEEPER, notebook_of
from lora_lessons.course.on_the_web import LIVE
from lora_lessons.course.records import records_of
from lora_lessons.course.syllabus import SYLLABUS, group_of, learning_minutes
from lora_lessons.run.result import cards, title

from ..badges import address
from ..readme import took
from . import widgets
from .claims_page import claim_anchor, verdict
from .finishing import as_table, link_to, one_line
from .lessons import FOLDER, SYMPTOMS, beneath

if TYPE_CHECKING:
    from nbformat import NotebookNode

    Notebooks = Mapping[str, NotebookNode]


# What the sidebar calls pages with long titles.
_SHORT = {
    "claims": "Claims",
    "papers": "Papers",
    "tools": "Tools",
    "teacher": "For the teacher",
    f"{FOLDER}/{SYMPTOMS}": "Symptoms",
}

NUMBERS = "numbers"  # the page, and the folder, of where numbers come from

_NUMBERS = """# Where the numbers come from

A number in a lesson is a link. It leads to its *record*: what was measured, on which machine, with which seeds, and
what another run may give. Numbers that others published lead to their source, and results of arithmetic to the
arithmetic."""

_MAP = """# Map of the lessons

Each lesson answers one question. The minutes are computing time on two processor cores, as recorded; reading a lesson
takes about a quarter of an hour, and its exercises as long again. Side trips go deeper, and you can leave each of them
out."""


def lesson_map(notebooks: Notebooks) -> str:
    """The map as MyST: each lesson's question, what it is good for, what its run took, and its side trips."""
    whole = [place for place in notebooks if "/" not in place]
    grouped = (
        [f"## {group}", *(_on_the_map(place, notebooks) for place in places)]
        for group, places in groupby(whole, key=_group)
    )
    return "\n\n".join([_MAP, *(part for parts in grouped for part in parts)])


def _on_the_map(place: str, notebooks: Notebooks) -> str:
    planned = SYLLABUS.get(place[:2])
    lines = [f"### [{title(notebooks[place])}]({FOLDER}/{place}.ipynb)", ""]
    if planned:
        lines += [f"Afterwards you can {planned.afterwards}.", ""]
    lines += [f"*{_taken(place)}{f'; {planned.besides}' if planned and planned.besides else ''}*", ""]
    for trip in beneath(place, notebooks):
        name = title(notebooks[trip]).partition(" · ")[2] or title(notebooks[trip])
        lines.append(f"- Side trip: [{name}]({FOLDER}/{trip}.ipynb) *({_taken(trip)})*")
    return "\n".join(lines)


def _taken(place: str) -> str:
    minutes, machine = took(notebook_of(Path(place).name))
    return f"{minutes} {'minute' if minutes == '1' else 'minutes'}, {machine}" if minutes.isdigit() else minutes


def numbers_of(pages: Mapping[str, str]) -> str:
    """The page that leads to each page of numbers, as MyST."""
    heads = {
        docname: text.partition("\n")[0].removeprefix("# Numbers of ").removeprefix("# ")
        for docname, text in pages.items()
    }
    listed = [f"- [{head[0].upper()}{head[1:]}]({docname}.md)" for docname, head in heads.items()]
    return "\n\n".join([_NUMBERS, "\n".join(listed), _tree("", pages)])


def trees(notebooks: Notebooks, beside: Iterable[str]) -> str:
    """The tables of contents that the sidebar shows: the lessons in order and in groups, and the pages `beside` them.

    Side trips are beneath their lessons; one without its lesson stands among them.
    """
    under = {trip for place in notebooks for trip in beneath(place, notebooks)}
    lessons = groupby((place for place in notebooks if place not in under), key=_group)
    others = [
        f"{_SHORT[name]} <{name}>" if name in _SHORT else name for name in beside if not name.startswith(f"{NUMBERS}/")
    ]
    grouped = [_tree(group, [f"{FOLDER}/{place}" for place in places]) for group, places in lessons]
    return "\n\n".join([*grouped, _tree("Look it up", others)])


def _group(place: str) -> str:
    return group_of(Path(place).name[:2])


def _tree(caption: str, names: Iterable[str]) -> str:
    captioned = [f":caption: {caption}"] if caption else []
    return "\n".join(["```{toctree}", ":hidden:", *captioned, "", *names, "```"])


def neighbours(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Lead from lesson to lesson at the foot of a page:
    side trips are left to those who choose them (a Sphinx hook)."""
    relations, deeper = app.builder.relations, f"{FOLDER}/{DEEPER}/"
    for key, side in (("prev", 1), ("next", 2)):
        other = relations.get(pagename, [None] * 3)[side]
        while other and other.startswith(deeper):
            other = relations[other][side]
        context[key] = other and {
            "link": app.builder.get_relative_uri(pagename, other),
            "title": app.builder.render_partial(app.env.titles[other])["title"],
        }


# The claims that the front page shows: those that a newcomer has most likely heard.
AT_A_GLANCE = ("G01", "G02", "G04", "G06", "G07", "G09", "G10", "G11", "G14", "G16")

_PROMISE = """# LoRA Lessons

<p class="lead">LoRA teaches a language model something new by training one small file beside it. Here you run what
a popular page claims of it, train it on a real model, and keep what you trained. No GPU is needed.</p>"""

_START = """<div class="start">

[**Start with lesson 00**]({first})

</div>"""
_FOR_WHOM = """For everyone who reads Python and can multiply two matrices; you need not have trained a model before.
The whole course takes about {hours} hours, its side trips left out: {reading} hours to read and look, {exercises}
hours for the exercises, and {computing} minutes of computing on two processor cores. You can stop after any lesson.

[Open lesson 00 in Colab]({colab}) · [See all lessons](map.md)

Or look something up: [what people say, and what we measured](claims.md) · [symptoms of a run that goes
wrong](lessons/symptoms.md) · [glossary](glossary.md) · [where the numbers come from](numbers.md)"""
DOOR, EXPLORER = "door", "rank_explorer"
_WHO = "In 24 steps a small model, SmolLM2-135M-Instruct, learns the voice of WICK, a lighthouse keeper:"
_DOOR = """Drag the slider back, and see the model's answer change. [Lesson 00](lessons/00_start_here.ipynb) does this
on your machine in its first five minutes; the whole lesson takes about {minutes}. <small>{note}</small>"""
_BESIDE = """<div class="beside" role="img" aria-label="W, a grey square: the model, {base:.0f} MB, which stays as \
it is. Beside it two thin strips in colour, B and A, whose product is as large as W: {small:.1f} MB, all that is \
trained.">
<p><i class="W">W</i> <span><b>{base:.0f} MB</b> the model: it stays as it is</span></p>
<p><i class="BA"><i class="B">B</i><i class="A">A</i>B·A</i> <span><b>{small:.1f} MB</b> beside it: all that is \
trained</span></p>
<p class="scale"><i style="--share: {base:.0f}"></i><i style="--share: {small:.1f}"></i>
<small>The files to scale; B and A are drawn thicker than they are.</small></p>
</div>"""
_EXPLORER = """Drag the rank, and see how few directions a picture needs. Then choose a language model's weights.
[Lesson 01](lessons/01_low_rank.ipynb) says why it matters."""

_AFTER = """## What you leave with

- **A layer that you wrote.** LoRA fits in a dozen lines. You count what it trains, and you check that PEFT, the usual
  library, computes the same.
- **An adapter that is yours.** You train it on a real language model, on data of your own if you like, and you measure
  what it gained and what the model forgot.
- **A forecast.** You can say whether a 7B model will train on a given graphics card, and what to change first if it
  will not.
- **An eye for silent mistakes.** You recognise from a few numbers why a training run went wrong although nothing
  raised an error.
- **A file that works elsewhere.** You ship your adapter to llama.cpp, and to Ollama as a merged model (we had no
  Ollama to run), and you choose among GGUF, GPTQ, AWQ and EXL2 on evidence.

## Where to start

- **Read on here.** [Lesson 00]({first}) and all others are shown as they ran once; nothing is computed while you read.
  The [map](map.md) shows every lesson with the question that it answers.
- **Run it in your browser.** [Open lesson 00 in Colab]({colab}); it installs what is missing.
- **Run it on your machine.** You need git, make and Python:

```bash
git clone {home} && cd {name}
make lab
```"""

_CLAIMS = """## What people say, and what we measured

The CraftRigs glossary page on LoRA says what LoRA is and does. Each of its claims is judged by what the lessons
measured. Here are some of them; the [table of all claims](claims.md) has the rest, and the cells that measured them."""
_LICENCE = """## Licence

The code is free under the Apache License 2.0, the prose, the figures and the data under Creative Commons (CC BY 4.0).
So you may use, change and share the course, also commercially, if you say where it is from."""
_COLUMNS = ("the CraftRigs page says", "verdict, and what we measured")


def page(notebooks: Notebooks, live: bool = True, door: str = "") -> str:
    """The front page as MyST; one that is not `live` has no widget. `door` is the HTML that wakes the model."""
    home, first = address(), next(iter(notebooks), "")
    words = {
        "first": f"{FOLDER}/{first}.ipynb",
        "colab": home.replace("github.com", "colab.research.google.com/github") + f"/blob/main/notebooks/{first}.ipynb",
        "home": home,
        "name": home.rpartition("/")[2],
    }
    for_whom = _FOR_WHOM.format(**words, **_hours(notebooks))
    touch = _something_to_touch(notebooks) if live else ""
    start, after = _START.format(**words), _AFTER.format(**words)
    return "\n\n".join([_PROMISE, touch, start, door, for_whom, after, _at_a_glance(notebooks), _LICENCE])


def _hours(notebooks: Notebooks) -> dict[str, Any]:
    """What the lessons without their side trips take: reading and exercises, estimated, and the recorded computing."""
    whole = {place: notebook for place, notebook in notebooks.items() if "/" not in place}
    reading, exercises = (sum(minutes) for minutes in zip(*map(learning_minutes, whole.values()), strict=True))
    computing = sum(int(minutes) for minutes, _ in (took(notebook_of(place)) for place in whole) if minutes.isdigit())
    return {
        "reading": f"{round(reading / 60, 1):g}",
        "exercises": f"{round(exercises / 60, 1):g}",
        "computing": computing,
        "hours": round((reading + exercises + computing) / 60),
    }


def _something_to_touch(notebooks: Notebooks) -> str:
    """The recorded door of lesson 00 where it was kept, else lesson 01's explorer where it lives on the web,
    else nothing."""
    for place, notebook in notebooks.items():
        if DOOR in widgets.found(notebook, place):
            known = records_of(notebook)
            base, small = 2 * float(known["door.model"].value) / 1e6, float(known["door.megabytes"].value)  # 16 bits
            drawn = one_line(_BESIDE.format(base=base, small=small))
            said = {"minutes": round(sum(learning_minutes(notebook)), -1)} | widgets.found(notebook, place)[DOOR]
            return "\n\n".join(
                [drawn, _WHO, widgets.mount_scene(notebook, place, DOOR, plays=True), _DOOR.format(**said)]
            )
    return f"{widgets.mount(EXPLORER)}\n\n{_EXPLORER}" if EXPLORER in LIVE else ""


def _at_a_glance(notebooks: Notebooks) -> str:
    """The claims of AT_A_GLANCE that these lessons judge: what is said, and each verdict on it with its reason."""
    claims: dict[str, tuple[str, dict[str, str]]] = {}
    for place, notebook in notebooks.items():
        for card in cards(notebook):
            lesson = link_to(f"{FOLDER}/{place}.html#{claim_anchor(card.id)}", f"Lesson {Path(place).name[:2]}")
            reason = f"{verdict(card.said)} {html.escape(_reason(card.sentence))} {lesson}"
            claims.setdefault(card.id, (card.says, {}))[1].setdefault(card.said, reason)
    rows = [(html.escape(claims[id][0]), "<br>".join(claims[id][1].values())) for id in AT_A_GLANCE if id in claims]
    return f"{_CLAIMS}\n\n{as_table(_COLUMNS, rows)}" if rows else ""


def _reason(sentence: str) -> str:
    """The two sentences with which a verdict begins: what holds, and the condition or the correction."""
    return " ".join(re.split(r"(?<=[.!?]) (?=[A-Z])", sentence)[:2])
