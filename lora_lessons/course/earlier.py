"""What had another name or number before: notebooks and exercises of earlier versions, and what they are today.

A number may be given again, so nothing of an earlier version is read by today's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Notebooks of 0.3 as `lora-lessons run` knew them: where what each taught stands now, in notebooks/. For one version.
NOTEBOOKS: dict[str, str] = {}
# Exercises of 0.2 that 0.3 numbered anew, by their notebook. What has their numbers since was another exercise then.
IN_0_3 = {
    "03_train_lora": {"03.4": "03.1", "03.5": "03.2"},
    "04_peft": {"04.3": "04.1"},
    "06_quantization": {"06.10": "06.1", "06.11": "06.2"},
    "07_qlora": {"07.4": "07.1", "07.5": "07.2"},
    "09_merging": {"09.4": "09.2"},
}
# Exercises of 0.3 that have another number now.
IN_0_4: dict[str, str] = {"16.1": "09.4"}
# Exercises of 0.2 that are no more: their numbers may be another's by now.
GONE = ["00.2", "00.3", "01.4", "02.2", "02.3", "03.3", "04.2", "05.1", "05.2", "05.3", "06.3", "07.3", "08.2", "08.3"]
GONE += ["13.2", "13.3"]


def solved(kept: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a progress file of an earlier version has solved, by today's numbers: "solved" is 0.2's section,
    "exercises" 0.3's."""
    in_0_3 = {then: now for moved in IN_0_3.values() for then, now in moved.items()} | dict.fromkeys(GONE, "")
    days: dict[str, Any] = {}
    for section, moved in (("solved", in_0_3), ("exercises", IN_0_4)):
        days = {now: day for id, day in {**kept.get(section, days)}.items() if (now := _today(id, moved))}
    return days


def _today(id: str, moved: Mapping[str, str]) -> str:
    """The number of an exercise after `moved`; "" where it is no more, and its number another's."""
    return moved.get(id, "" if id in moved.values() else id)


def renamed(name: str) -> Iterator[tuple[str, str]]:
    """(what it was, what it is) for each notebook that `name`, or a number, meant in 0.3."""
    lessons = {str(int(then[:2])): then for then in NOTEBOOKS if "/" not in then}
    for then, now in NOTEBOOKS.items():
        if name in (then, then.rpartition("/")[2]) or lessons.get(name.lstrip("0")) == then:
            yield then, now


def refused(notebook: str, id: str) -> str | None:
    """What to say of exercise `id` in a copy of 0.3's `notebook`, whose numbers may be another exercise's now;
    None in one of today's."""
    for then, now in renamed(notebook) if notebook else ():
        return (
            f"This is a copy of {then.rpartition('/')[2]} from before 0.4, where {id} was another exercise, so "
            f"nothing is judged or marked: it is {now} now, which `lora-lessons lab` copies beside yours."
        )
    return None
