"""What hangs in the museum: a mistake that raises no error, and the words that learners have for it."""

from __future__ import annotations

import re
from typing import NamedTuple

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

    @property
    def hall(self) -> int:
        """1 for exhibits 14.1 to 14.9, 2 from 14.11, 3 from 14.21."""
        return 1 + int(self.id.partition(".")[2]) // 10

    @property
    def number(self) -> int:
        """Its place in the catalogue: 11 for 14.11."""
        return int(self.id.partition(".")[2])

    @property
    def anchor(self) -> str:
        """Its paragraph on the page of symptoms."""
        return f"exhibit-{self.number}"

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
    """A suspect that has no exhibit, because a lesson is about it; `id` names that lesson."""

    id: str
    notebook: str
    title: str
    symptoms: tuple[str, ...]
    suspect: str
    noticed: str

    @property
    def number(self) -> int:
        """Its lesson's: 5 for lesson 05."""
        return int(self.id.partition(" ")[2])

    @property
    def anchor(self) -> str:
        """Its paragraph on the page of symptoms."""
        return f"exhibit-{self.id.replace(' ', '-')}"


Suspect = Exhibit | InALesson
