"""The catalogue: every exhibit of the three halls, in order."""

from __future__ import annotations

from ..exhibit import Exhibit, InALesson, Suspect
from . import hall_1, hall_2, hall_3, in_lessons

# each hall's notebook, in notebooks/
HALLS = {
    1: "14_bug_museum.ipynb",
    2: "deeper/14_text_and_loss.ipynb",
    3: "deeper/14_training_and_files.ipynb",
}


def catalogue() -> dict[str, Exhibit]:
    """Every exhibit by its id, in order."""
    return {one.id: one for hall in (hall_1, hall_2, hall_3) for one in hall.EXHIBITS}


def suspects() -> dict[str, Suspect]:
    """Everything that may be behind a symptom: the exhibits, and what a lesson is about."""
    return {**catalogue(), **{one.id: one for one in in_lessons.SUSPECTS}}


def place(one: Suspect) -> str:
    """The notebook that shows it: a path in notebooks/."""
    return one.notebook if isinstance(one, InALesson) else HALLS[one.hall]
