"""Build the persona data set from its hand-written source, or check it.

    python data/make_persona.py           write the two JSON Lines files
    python data/make_persona.py --check   compare them with what would be written

The source marks the one image in each answer with [square brackets]. An image holds at
least one word of sources/image_words.txt, and no such word stands outside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from making import make

from lora_lessons.tasks.scores.persona import CLOSING, faults, image_words, words

Topics = dict[str, list[tuple[str, str]]]  # topic -> its (question, whole answer) pairs

DATA = Path(__file__).resolve().parent
N_TOPICS, PER_TOPIC = 27, 12
# Held out by topic, not by question, so that the test asks whether the voice carries
# over to new subjects: one topic each from kitchen, nature, school, people and home.
HELD_OUT = ("baking bread", "birdsong", "fractions", "small talk", "mending clothes")


def read_source(path: Path) -> Topics:
    """Read the topics; raise ValueError with the line and the advice where a rule is broken."""
    topics: Topics = {}
    pairs, question, seen = [], "", {}  # seen: a question or an image -> the line that has it
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):

        def need(holds: object, advice: str) -> None:
            if not holds:
                raise ValueError(f"{path.name}, line {number}: {advice}\n    {line}")

        def need_new(key: str) -> None:
            need(key not in seen, f"change {key!r}, which line {seen.get(key)} has too")
            seen[key] = number

        kind, _, text = line.partition(": ")
        need(not line or line.startswith("# ") or kind in ("Q", "A"), "begin with '# ', 'Q: ' or 'A: '")
        if kind == "# topic":
            need(text not in topics and not question, "name a new topic, after an answer")
            pairs = topics[text] = []
        elif kind == "Q":
            need(topics and not question, "put the question under a topic, after an answer")
            need(text.isascii() and text.endswith("?"), "use plain ASCII and end with '?'")
            need(4 <= len(text.split()) <= 16, "ask in 4 to 16 words")
            need_new(" ".join(words(text)))
            question = text
        elif kind == "A":
            spans = re.findall(r"\[([^][.!?]+)\]", text)
            need(question, "put a question before the answer")
            need(len(spans) == 1 and image_words(spans[0]), "bracket one image with a word of image_words.txt")
            outside = image_words(text.replace(spans[0], ""))
            need(not outside, f"reword {sorted(outside)}, outside the image")
            need_new(" ".join(words(spans[0])))
            answer = f"{text.replace(f'[{spans[0]}]', spans[0])} {CLOSING}"
            need(not faults(answer), "; ".join(faults(answer)))
            pairs.append((question, answer))
            question = ""
    wrong = [f"{topic} has {len(found)}" for topic, found in topics.items() if len(found) != PER_TOPIC]
    if wrong or question or len(topics) != N_TOPICS or not set(HELD_OUT) <= set(topics):
        raise ValueError(
            f"{path.name}: keep {N_TOPICS} topics, all of {HELD_OUT} among them, "
            f"and {PER_TOPIC} answered questions in each {wrong or ''}"
        )
    return topics


def examples(topics: Topics, names: list[str]) -> list[dict[str, Any]]:
    """One conversation per question, taking the named topics in turn."""
    return [
        {
            "id": f"persona-{name.replace(' ', '-')}-{i + 1:02d}",
            "topic": name,
            "messages": [
                {"role": role, "content": text}
                for role, text in zip(("user", "assistant"), topics[name][i], strict=True)
            ],
        }
        for i in range(PER_TOPIC)
        for name in names
    ]


if __name__ == "__main__":
    topics = read_source(DATA / "sources" / "persona.txt")
    make("persona", examples(topics, [t for t in topics if t not in HELD_OUT]), examples(topics, list(HELD_OUT)))
