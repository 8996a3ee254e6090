"""What had another name or number before: notebooks and exercises of earlier versions, and what they are today.

A number may be given again, so nothing of an earlier version is read by today's numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Notebooks of 0.3 as `lora-lessons run` knew them: where what each taught stands now, in notebooks/. For one version.
NOTEBOOKS = {
    "11_formats": "10_ship_it",
    "12_faster": "deeper/08_faster",
    "13_beyond_one_gpu": "deeper/08_many_cards",
    "14_bug_museum": "12_bug_museum",
    "15_your_own": "11_your_own",
    "16_many_adapters": "deeper/09_many_adapters",
    "17_preferences": "13_preferences",
    "18_capacity": "deeper/05_capacity",
    "deeper/11_gptq_and_awq": "deeper/10_gptq_and_awq",
    "deeper/14_text_and_loss": "deeper/12_text_and_loss",
    "deeper/14_training_and_files": "deeper/12_training_and_files",
}
# Exercises of 0.2 that 0.3 numbered anew, by their notebook. What has their numbers since was another exercise then.
IN_0_3 = {
    "03_train_lora": {"03.4": "03.1", "03.5": "03.2"},
    "04_peft": {"04.3": "04.1"},
    "06_quantization": {"06.10": "06.1", "06.11": "06.2"},
    "07_qlora": {"07.4": "07.1", "07.5": "07.2"},
    "09_merging": {"09.4": "09.2"},
}
# Exercises of 0.3 that have another number now.
# fmt: off
IN_0_4 = {
    "11.1": "10.5", "11.2": "10.6", "11.3": "10.7", "11.4": "10.4", "12.1": "08.3", "12.2": "", "12.3": "08.4",
    "13.1": "", "14.1": "12.1", "14.2": "12.2", "14.3": "12.3", "14.4": "12.4", "14.5": "12.5", "14.7": "12.6",
    "14.10": "12.7", "14.11": "12.8", "14.12": "12.9", "14.13": "12.10", "14.14": "12.11", "14.15": "12.12",
    "14.17": "12.13", "14.19": "12.14", "14.21": "12.15", "14.22": "12.16", "14.24": "12.17", "14.25": "",
    "14.27": "12.19", "14.28": "12.20", "14.29": "12.21", "15.1": "11.1", "15.2": "11.2", "15.3": "11.3",
    "16.1": "09.4", "16.2": "09.5", "17.1": "13.1", "17.2": "13.2", "17.3": "13.3", "17.4": "13.4",
    "18.1": "05.1", "18.2": "", "18.3": "",
}
# fmt: on
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
