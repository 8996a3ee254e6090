"""The catalogue: every exhibit of the three halls, in order."""

from __future__ import annotations

from ..exhibit import Exhibit
from . import hall_1, hall_2, hall_3

# each hall's notebook, in notebooks/
HALLS = {
    1: "14_bug_museum.ipynb",
    2: "deeper/14_text_and_loss.ipynb",
    3: "deeper/14_training_and_files.ipynb",
}


def catalogue() -> dict[str, Exhibit]:
    """Every exhibit by its id, in order."""
    return {one.id: one for hall in (hall_1, hall_2, hall_3) for one in hall.EXHIBITS}


def place(exhibit: Exhibit) -> str:
    """The notebook in which it hangs: a path in notebooks/."""
    return HALLS[exhibit.hall]
