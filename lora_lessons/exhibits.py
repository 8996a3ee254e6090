"""What hangs in the museum: mistakes that raise no error, and the words that learners have for them (exhibits.toml)."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_THREAD = re.compile(r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)#(?P<number>\d+)")


class Exhibit(NamedTuple):
    """One exhibit; `id` is that of the exercise in which the learner repairs it."""

    id: str
    # it does not give the suspect away
    title: str
    # in a learner's words: "loss falls, answers unchanged"
    symptoms: tuple[str, ...]
    suspect: str
    # how you would have noticed
    noticed: str
    # threads as owner/name#number, with words between them where that helps
    behind: str
    # codes of `lora-lessons inspect`'s findings or `check`'s problems that name this mistake
    found_by: tuple[str, ...] = ()
    # the hall of the museum that it hangs in: 1, 2 or 3; 0 for one that is repaired in a lesson
    hall: int = 0
    # the notebook of that lesson, a path in notebooks/; empty for what hangs in a hall
    in_lesson: str = ""
    # what somebody sees who has not made this mistake: "the loss is finite"
    ruled_out_by: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Its place in the museum, 11 for the eleventh; in a lesson, the place of its exercise there."""
        return int(self.id.partition(".")[2])

    @property
    def anchor(self) -> str:
        """Its paragraph on the page of symptoms."""
        return f"exhibit-{self.id.replace('.', '-')}"

    @property
    def kind(self) -> str:
        """What it is called: an exhibit in a hall, an exercise in a lesson."""
        return "exhibit" if self.hall else "exercise"

    def behind_in_markdown(self) -> str:
        """`behind`, each thread as a link: peft#1959."""
        return _THREAD.sub(
            r"[\g<name>#\g<number>](https://github.com/\g<owner>/\g<name>/issues/\g<number>)", self.behind
        )

    def behind_in_html(self) -> str:
        """`behind`, each thread as a link."""
        return _THREAD.sub(
            r'<a href="https://github.com/\g<owner>/\g<name>/issues/\g<number>">\g<name>#\g<number></a>', self.behind
        )

    def behind_in_words(self) -> str:
        """`behind` for a terminal, each thread as its address."""
        return _THREAD.sub(r"https://github.com/\g<owner>/\g<name>/issues/\g<number>", self.behind)


class InALesson(NamedTuple):
    """A suspect that has no exhibit, because a lesson is about it; `id` names that lesson,
    of a second one with a word."""

    id: str
    notebook: str
    title: str
    symptoms: tuple[str, ...]
    suspect: str
    noticed: str
    ruled_out_by: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Its lesson's: 5 for lesson 05."""
        return int(self.id.split()[1])

    @property
    def anchor(self) -> str:
        """Its paragraph on the page of symptoms."""
        return "-".join(["exhibit", *re.findall(r"\w+", self.id)])


Suspect = Exhibit | InALesson

# each hall's notebook, in notebooks/
HALLS = {
    1: "12_bug_museum.ipynb",
    2: "deeper/12_text_and_loss.ipynb",
    3: "deeper/12_training_and_files.ipynb",
}


@cache
def _listed(kind: str) -> tuple[dict[str, Any], ...]:
    """The fields of every suspect of a kind; lists as tuples."""
    listed = tomllib.loads(Path(__file__).with_name("exhibits.toml").read_text(encoding="utf-8"))[kind]
    return tuple({k: tuple(v) if isinstance(v, list) else v for k, v in one.items()} for one in listed)


def catalogue() -> dict[str, Exhibit]:
    """Every mistake that the learner repairs, by its id: the exhibits of the three halls, then those in lessons."""
    return {one["id"]: Exhibit(**one) for one in _listed("exhibit")}


def in_lessons() -> dict[str, InALesson]:
    """The suspects without an exhibit: a lesson is about each of them, so the museum only sends you there."""
    return {one["id"]: InALesson(**one) for one in _listed("in_a_lesson")}


def suspects() -> dict[str, Suspect]:
    """Everything that may be behind a symptom: the exhibits, and what a lesson is about."""
    return {**catalogue(), **in_lessons()}


def place(one: Suspect) -> str:
    """The notebook that shows it: a path in notebooks/."""
    if isinstance(one, InALesson):
        return one.notebook
    return HALLS[one.hall] if one.hall else one.in_lesson
