"""The page notebooks/symptoms.md, made from the catalogue: symptom → suspects."""

from __future__ import annotations

import re
from pathlib import Path

from lora_lessons.exhibits import Exhibit, Suspect, place, suspects
from lora_lessons.files import write_text
from lora_lessons.paths import course_root
from lora_tools.symptoms import ALIKE, search

# A symptom has other suspects, too: those that fit it at least this well. A wrong one costs an evening.
_ALSO = 0.5

# The groups of symptoms, and the words that put one there; the last takes what is left.
_GROUPS = {
    "In the loss": r"\b(loss|gradients?|perplexity)\b",
    "In what the model says": r"\b(answers?|text|gibberish|says|talk\w*|stops?|forg[eo]t\w*|overreacts|words?)\b",
    "In sizes, files and other programs": "",
}

# What a library says where it does notice: such symptoms stand in quotes.
_MESSAGE = re.compile(r"requires?[_ ]grad|autograd kernel|missing adapter keys|unscale FP16|CUDA out of memory")

_HEAD = """# Symptom → suspects

What you see, and what may be behind it. Most of these mistakes stop no program; a symptom in quotes is an error or a
warning of a library. `lora-lessons symptom "loss falls, answers unchanged"` looks your own words up. The bug museum
shows most of these mistakes at work and lets you repair them, in three halls: [the adapter
itself](12_bug_museum.ipynb), [texts, labels and loss](deeper/12_text_and_loss.ipynb), [training and
files](deeper/12_training_and_files.ipynb). The end of [hall 1](12_bug_museum.ipynb) has a few lines that print scale,
layers, ‖ΔW‖ / ‖W‖ and gradients of any LoRA that PEFT trains.

<!-- `python -m workshop readme` makes this page from the museum's catalogue. -->
"""


def file() -> Path:
    return course_root() / "notebooks" / "symptoms.md"


def write() -> list[Path]:
    """Make the page anew; return it if it changed."""
    text = made()
    if file().is_file() and file().read_text(encoding="utf-8") == text:
        return []
    write_text(file(), text)
    return [file()]


def made() -> str:
    """The whole page: a table for each group of symptoms, then a paragraph for each suspect."""
    rows: dict[str, list[str]] = {group: [] for group in _GROUPS}
    for symptom in sorted((words for one in suspects().values() for words in one.symptoms), key=str.casefold):
        rows[next(group for group, words in _GROUPS.items() if re.search(words, symptom))].append(_row(symptom))
    tables = [
        f"## {group}\n\n| what you see | suspects, the likeliest first |\n|---|---|\n" + "\n".join(lines) + "\n"
        for group, lines in rows.items()
        if lines
    ]
    alike = f"<!-- alike: {','.join(ALIKE)} -->\n"
    return "\n".join([_HEAD + alike, *tables, "## The suspects\n", *map(_suspect, suspects().values())])


def _row(symptom: str) -> str:
    likely = [match.suspect for match in search(symptom) if match.good and match.score >= _ALSO][:3]
    return f"| {_shown(symptom)} | {'<br>'.join(map(_link, likely))} |"


def _shown(symptom: str) -> str:
    return f"“{symptom.strip('“”')}”" if _MESSAGE.search(symptom) else symptom


def _link(one: Suspect) -> str:
    return f"[{one.id}](#{one.anchor}) {one.suspect.rstrip('.')}"


def _suspect(one: Suspect) -> str:
    behind, kind = (
        (
            f"Behind it: {one.behind_in_markdown()}. ",
            f"{one.kind.capitalize()} {one.id}" if one.in_lesson else "Exhibit",
        )
        if isinstance(one, Exhibit)
        else ("", "Lesson")
    )
    return (
        f'<a id="{one.anchor}"></a>\n**{one.id[0].upper()}{one.id[1:]} · {one.suspect}** '
        f"How you would have noticed: {one.noticed} {behind}{kind}: [{one.title}]({place(one)}).\n"
    )
