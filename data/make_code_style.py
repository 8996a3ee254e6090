"""Build the code style data set from its hand-written source, or check it.

    python data/make_code_style.py           write the two JSON Lines files
    python data/make_code_style.py --check   compare them with what would be written

The source is Python: a function, above it what it does, as the question will say it, and
one check. Every check is run, so every function has been right at least once.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any, NamedTuple

from making import make

DATA = Path(__file__).resolve().parent
N_TOPICS, PER_TOPIC = 28, 10
HELD_OUT = ("votes", "colors", "library books", "gardens", "music", "parcels")
OPENINGS = (
    "Write a Python function {name} that {does}.",
    "I need a Python function {name} that {does}.",
    "Please write {name}, a Python function that {does}.",
)
BLOCK = re.compile(r"# (?P<does>[a-z].+)\n# >>> (?P<check>.+)\n(?P<code>def (?P<name>\w+)(?:.+\n?)+)")


class Function(NamedTuple):
    """One function of the source, whole, and what the question says of it."""

    name: str
    does: str
    code: str


def read_source(path: Path) -> dict[str, list[Function]]:
    """Each topic's functions; raise ValueError with the function and the advice where a rule is broken."""
    topics: dict[str, list[Function]] = {}
    namespace, seen = runpy.run_path(str(path)), {}  # seen: a name or a body -> the function that has it
    for block in path.read_text("ascii").rstrip().split("\n\n\n")[1:]:
        if block.startswith("# topic: "):
            topic = topics.setdefault(block.removeprefix("# topic: "), [])
        elif found := BLOCK.fullmatch(block):
            one = Function(found["name"], found["does"], found["code"].rstrip())
            if eval(found["check"], dict(namespace)) is not True:  # our own source, never what a model wrote
                raise ValueError(f"{one.name}: correct the function or its check, {found['check']}")
            for key in (one.name, one.does, one.code.partition('."""')[2]):
                if (other := seen.setdefault(key, one.name)) != one.name or one in topic:
                    raise ValueError(f"{one.name}: change {key!r}, which {other} has too")
            topic.append(one)
        else:
            raise ValueError(f"{path.name}: write '# what it does', '# >>> check' and one def:\n{block}")
    wrong = [f"{topic} has {len(found)}" for topic, found in topics.items() if len(found) != PER_TOPIC]
    if wrong or len(topics) != N_TOPICS or not set(HELD_OUT) <= set(topics):
        raise ValueError(
            f"{path.name}: keep {N_TOPICS} topics, all of {HELD_OUT} among them, "
            f"and {PER_TOPIC} functions in each {wrong or ''}"
        )
    return topics


def examples(topics: dict[str, list[Function]], names: list[str]) -> list[dict[str, Any]]:
    """One conversation per function, taking the named topics, and the ways to ask, in turn."""
    return [
        {
            "id": f"code-style-{name.replace(' ', '-')}-{i + 1:02d}",
            "topic": name,
            "messages": [
                {"role": "user", "content": OPENINGS[(i + k) % len(OPENINGS)].format(**topics[name][i]._asdict())},
                {"role": "assistant", "content": topics[name][i].code},
            ],
        }
        for i in range(PER_TOPIC)
        for k, name in enumerate(names)
    ]


if __name__ == "__main__":
    topics = read_source(DATA / "sources" / "code_style.py")
    make("code_style", examples(topics, [t for t in topics if t not in HELD_OUT]), examples(topics, list(HELD_OUT)))
