"""The forms of the two small data sets that a learner may begin with: a helpdesk's three lines,
minutes in three lines."""

from __future__ import annotations

from collections.abc import Callable

HELPDESK, MINUTES = ("Cause", "Fix", "If not"), ("Decided", "To do", "Open")
LONGEST = 45  # words


def faults(answer: str, labels: tuple[str, ...]) -> list[str]:
    """Advice for each rule of a form that a whole answer breaks, so [] for a good one.

    A good answer is one line for each of `labels`, in order, as "Cause: The battery is empty.", and nothing else.
    """
    lines = answer.strip().splitlines()
    parts = [line.partition(": ") for line in lines]
    rules = {
        f"write {len(labels)} lines, not {len(lines)}": len(lines) == len(labels),
        f"begin the lines with {', '.join(labels)}": [name for name, _, _ in parts] == list(labels),
        "say something behind each of them": all(text.strip() for _, _, text in parts),
        "end each line with a full stop": all(line.endswith(".") for line in lines),
        f"write at most {LONGEST} words": len(answer.split()) <= LONGEST,
        "use plain ASCII": answer.isascii(),
    }
    return [advice for advice, holds in rules.items() if not holds]


def helpdesk(answer: str) -> bool:
    """Whether an answer has the helpdesk's form: Cause, Fix, If not."""
    return not faults(answer, HELPDESK)


def minutes(answer: str) -> bool:
    """Whether an answer has the form of the minutes: Decided, To do, Open."""
    return not faults(answer, MINUTES)


# by the name of the file in data/own/
RULES: dict[str, Callable[[str], bool]] = {"helpdesk": helpdesk, "minutes": minutes}
