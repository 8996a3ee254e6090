"""Build the two small data sets that a learner may begin with, or check them: two layouts, one file each.

    python data/make_own.py           write own/helpdesk.jsonl (chat messages) and own/minutes.csv
    python data/make_own.py --check   compare them with what would be written

They are not split: lesson 11 does that, as it does with a learner's own file.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lora_lessons.files import write_text
from lora_lessons.tasks.scores import own

DATA = Path(__file__).resolve().parent
INSTRUCTION = "Minutes, please: "


def lines_of(name: str) -> Iterator[tuple[str, str, str]]:
    """(topic, line, where it stands) of each line of a source that is neither blank nor a comment."""
    topic = ""
    for number, line in enumerate((DATA / "sources" / f"{name}.txt").read_text("utf-8").splitlines(), 1):
        if line.startswith("# topic: "):
            topic = line.removeprefix("# topic: ")
        elif line and not line.startswith("#"):
            yield topic, line, f"{name}.txt, line {number}"


def helpdesk() -> Iterator[tuple[str, str, str]]:
    """(topic, question, answer) of the helpdesk: four lines of the source, Q, C, F and N."""
    found = list(lines_of("helpdesk"))
    for at in range(0, len(found), 4):
        four = [line.split(": ", 1) for _, line, _ in found[at : at + 4]]
        if [kind for kind, _ in four] != ["Q", "C", "F", "N"]:
            raise ValueError(f"{found[at][2]}: write Q, C, F and N, one line each.")
        (_, question), *parts = four
        said = zip(own.HELPDESK, (text for _, text in parts), strict=True)
        yield found[at][0], question, "\n".join(f"{label}: {text}" for label, text in said)


def minutes() -> Iterator[tuple[str, str, str]]:
    """(topic, notes, minutes): one line of the source, with bars between."""
    for topic, line, where in lines_of("minutes"):
        notes, *parts = line.split(" | ")
        if len(parts) != len(own.MINUTES):
            raise ValueError(f"{where}: write notes | decided | to do | open.")
        tidy = "\n".join(
            f"{label}: {text[0].upper()}{text[1:]}." for label, text in zip(own.MINUTES, parts, strict=True)
        )
        yield topic, INSTRUCTION + notes, tidy


def checked(name: str, rows: list[tuple[str, str, str]], labels: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """`rows`, their topics taking turns. Raises ValueError for an answer that breaks its form,
    or a prompt asked twice."""
    for _, prompt, answer in rows:
        if wrong := own.faults(answer, labels):
            raise ValueError(f"{name}: {prompt!r}: {'; '.join(wrong)}.")
    if len({prompt for _, prompt, _ in rows}) < len(rows):
        raise ValueError(f"{name}: a prompt is there twice.")
    by_topic: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        by_topic.setdefault(row[0], []).append(row)
    return [row for turn in zip(*by_topic.values(), strict=True) for row in turn]


def as_jsonl(rows: list[tuple[str, str, str]]) -> str:
    """Chat messages, one conversation a line."""
    return "".join(
        json.dumps(
            {
                "topic": topic,
                "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}],
            }
        )
        + "\n"
        for topic, prompt, answer in rows
    )


def as_csv(rows: list[tuple[str, str, str]]) -> str:
    """A table with a head; an answer's line breaks stand inside quotation marks, as a spreadsheet writes them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("topic", "prompt", "completion"), *rows])
    return text.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the data sets of data/own/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    only_compare = parser.parse_args().check
    made = {
        "helpdesk.jsonl": as_jsonl(checked("helpdesk", list(helpdesk()), own.HELPDESK)),
        "minutes.csv": as_csv(checked("minutes", list(minutes()), own.MINUTES)),
    }
    for name, content in made.items():
        path = DATA / "own" / name
        if not only_compare:
            write_text(path, content)
        elif not path.is_file() or path.read_text("utf-8") != content:
            sys.exit(f"run this without --check; not as the source has it: {path}")
