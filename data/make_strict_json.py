"""Build the strict JSON data set from its hand-written source, or check it.

    python data/make_strict_json.py           write the two JSON Lines files
    python data/make_strict_json.py --check   compare them with what would be written

The source marks the facts in each message: {item}, [count], <day> and (name). The JSON is read from
the marks, so what is taught is what the message says. A fact without a mark is null.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from making import content_words, make

Topics = dict[str, list[dict[str, Any]]]  # topic -> its messages, each with its facts

DATA = Path(__file__).resolve().parent
N_TOPICS, PER_TOPIC = 28, 10
HELD_OUT = ("bakery", "theatre tickets", "bike repair", "boat rental", "flower shop", "library desk")
INSTRUCTION = "Turn this message into JSON with the keys item, count, day, name. Use null for what it does not say."
MARKS = {"item": r"\{([^{}]+)\}", "count": r"\[([^][]+)\]", "day": r"<([^<>]+)>", "name": r"\(([^()]+)\)"}
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def read_source(path: Path) -> Topics:
    """Read the topics; raise ValueError with the line and the advice where a rule is broken."""
    topics: Topics = {}
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):

        def need(holds: object, advice: str) -> None:
            if not holds:
                raise ValueError(f"{path.name}, line {number}: {advice}\n    {line}")

        kind, _, topic = line.partition(": ")
        if kind == "# topic":
            need(topic not in topics, "name a new topic")
            topics[topic] = []
        elif line and not line.startswith("#"):
            need(topics, "put the message under a topic")
            marked = {key: re.findall(mark, line) for key, mark in MARKS.items()}
            need(len(marked["item"]) == 1, "mark one {item}")
            need(all(len(found) < 2 for found in marked.values()), "mark a fact once")
            facts: dict[str, Any] = {key: found[0] if found else None for key, found in marked.items()}
            plain = re.sub(r"[][{}<>()]", "", line)
            words = re.findall(r"\w+", plain)
            need(12 <= len(plain.split()) <= 35, f"write 12 to 35 words, not {len(plain.split())}")
            numbers = [word for word in words if word.isdigit() or word.lower() in NUMBERS]
            if facts["count"]:
                need(facts["count"] in numbers, "give [count] in digits, or as a word from one to twelve")
                word = facts["count"].lower()
                facts["count"] = NUMBERS.index(word) + 1 if word in NUMBERS else int(word)
            else:
                need(not numbers, f"take out {numbers}, or mark the [count]")
            need(facts["day"] in DAYS if facts["day"] else not set(words) & set(DAYS), "mark one of the seven days")
            topics[list(topics)[-1]].append({"message": plain, "facts": facts})
    wrong = [f"{topic} has {len(found)}" for topic, found in topics.items() if len(found) != PER_TOPIC]
    if wrong or len(topics) != N_TOPICS or not set(HELD_OUT) <= set(topics):
        raise ValueError(
            f"{path.name}: keep {N_TOPICS} topics, all of {HELD_OUT} among them, "
            f"and {PER_TOPIC} messages in each {wrong}"
        )
    check_new(topics)
    return topics


def check_new(topics: Topics) -> None:
    """Raise ValueError when a held-out item shares a word with a trained one, or a name is in both parts."""
    for key in ("item", "name"):
        taught, held_out = (
            {
                word.removesuffix("s")
                for topic, messages in topics.items()
                for message in messages
                for word in content_words(message["facts"][key] or "")
                if (topic in HELD_OUT) == held
            }
            for held in (False, True)
        )
        if both := sorted(taught & held_out):
            raise ValueError(f"an {key} to be held out is new: change {', '.join(both)}, which are trained too.")


def examples(topics: Topics, names: list[str]) -> list[dict[str, Any]]:
    """One conversation per message, taking the named topics in turn."""
    return [
        {
            "id": f"strict_json-{name.replace(' ', '-')}-{i + 1:02d}",
            "topic": name,
            "messages": [
                {"role": "user", "content": f"{INSTRUCTION}\n{topics[name][i]['message']}"},
                {"role": "assistant", "content": json.dumps(topics[name][i]["facts"])},
            ],
        }
        for i in range(PER_TOPIC)
        for name in names
    ]


if __name__ == "__main__":
    topics = read_source(DATA / "sources" / "strict_json.txt")
    make("strict_json", examples(topics, [t for t in topics if t not in HELD_OUT]), examples(topics, list(HELD_OUT)))
