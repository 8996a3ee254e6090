"""`lora-lessons symptom "loss falls, answers unchanged"`: what may be behind it, from the bug museum."""

from __future__ import annotations

import shutil
import textwrap
from typing import Annotated

import typer

from .exits import EXIT_OK

SHOWN = 3


def symptom(
    words: Annotated[
        list[str], typer.Argument(help="What you see, in your own words, such as “loss falls, answers unchanged”.")
    ],
) -> int:
    """Say what may be behind a symptom.

    Looks your words up in the bug museum of lesson 14 and names up to three suspects: the mistake that it would be,
    how to test that, the exhibit or lesson, and the thread in which others met it. It says so where none of them fits well.
    """
    from ..lessons.l14_bug_museum.exhibit import Exhibit
    from ..lessons.l14_bug_museum.exhibits import place, suspects
    from ..lessons.l14_bug_museum.symptoms import search

    said = " ".join(" ".join(words).split())
    if not said:
        raise ValueError('say what you see, for example: lora-lessons symptom "loss falls, answers unchanged".')
    found = search(said)[:SHOWN]
    if found and not any(match.good for match in found):
        _say("Nothing here fits well; nearest:", 0)
        print()
    for one in (match.suspect for match in found):
        _say(f"{one.id:<6} Suspect: {one.suspect}", 0)
        _say(f"Test: {one.noticed}", 7)
        if isinstance(one, Exhibit):
            _say(f"To see and repair it: notebooks/{place(one)}, exhibit {one.id} (“{one.title}”).", 7)
            _say(f"Behind it: {one.behind_in_words()}", 7)
        else:
            _say(f"To see it: notebooks/{place(one)} (“{one.title}”).", 7)
        print()
    if not found:
        _say("Nothing here has such a symptom. These are the symptoms that the museum knows:", 0)
        for one in suspects().values():
            for known in one.symptoms:
                _say(f"{one.id:<6} {known}", 0)
    return EXIT_OK


def _say(text: str, indent: int) -> None:
    width = min(100, max(40, shutil.get_terminal_size((100, 24)).columns))
    # an address stays whole
    lines = textwrap.TextWrapper(width, " " * indent, " " * 7, break_long_words=False, break_on_hyphens=False)
    print(lines.fill(text))
