"""Build the persona data set from its hand-written source, or check it.

    python data/make_data.py           write the two JSON Lines files
    python data/make_data.py --check   compare them with what would be written

The source marks the one image in each answer with [square brackets]. An image holds at
least one word of sources/image_words.txt, and no such word stands outside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

from voice import CLOSING, image_words, voice_faults, words

Topics = dict[str, list[tuple[str, str]]]  # topic -> its (question, whole answer) pairs

DATA = Path(__file__).resolve().parent
N_TOPICS, PER_TOPIC = 27, 12
# Held out by topic, not by question, so that the test asks whether the voice carries
# over to new subjects: one topic each from kitchen, nature, school, people and home.
HELD_OUT = ("baking bread", "birdsong", "fractions", "small talk", "mending clothes")
MAX_OVERLAP = 0.6  # of a held-out question's content words with any training question's
STOP_WORDS = frozenset(
    """a an and any are as at be can did do does for from get has have how i if in is it its me my no not of off on or
    should so that the their them they this to up was what when where which while who why will with without you
    your""".split()  # noqa: SIM905
)


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
            need(not voice_faults(answer), "; ".join(voice_faults(answer)))
            pairs.append((question, answer))
            question = ""
    wrong = [f"{topic} has {len(found)}" for topic, found in topics.items() if len(found) != PER_TOPIC]
    if wrong or question or len(topics) != N_TOPICS or not set(HELD_OUT) <= set(topics):
        raise ValueError(
            f"{path.name}: keep {N_TOPICS} topics, all of {HELD_OUT} among them, "
            f"and {PER_TOPIC} answered questions in each {wrong or ''}"
        )
    return topics


def check_overlap(topics: Topics) -> float:
    """Return the largest Jaccard overlap of a held-out and a training question, if it is allowed."""
    content = {q: set(words(q)) - STOP_WORDS for pairs in topics.values() for q, _ in pairs}
    held = [q for topic in HELD_OUT for q, _ in topics[topic]]
    train = [q for q in content if q not in held]
    worst, h, t = max((len(content[h] & content[t]) / len(content[h] | content[t]), h, t) for h in held for t in train)
    if worst > MAX_OVERLAP:
        raise ValueError(f"reword one of two questions that share words ({worst:.2f}): {h!r}, {t!r}")
    return worst


def to_jsonl(topics: Topics, names: list[str]) -> bytes:
    """Return one JSON line per example, taking the named topics in turn."""
    rows = [
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
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def main() -> None:
    """Check the source, then write or compare the two files."""
    parser = argparse.ArgumentParser(description="Build the persona data set.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    check = parser.parse_args().check
    try:
        topics = read_source(DATA / "sources" / "persona.txt")
        print(f"largest overlap of a held-out and a training question: {check_overlap(topics):.2f}")
    except ValueError as error:
        sys.exit(str(error))
    differs = []
    for name, chosen in (("train", [t for t in topics if t not in HELD_OUT]), ("held_out", list(HELD_OUT))):
        path, content = DATA / "persona" / f"{name}.jsonl", to_jsonl(topics, chosen)
        print(f"{name}: {len(chosen)} topics, {len(chosen) * PER_TOPIC} examples")
        if check:
            differs += [] if path.is_file() and path.read_bytes() == content else [str(path)]
        else:
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".tmp").write_bytes(content)
            os.replace(path.with_suffix(".tmp"), path)  # whole or not at all
    if differs:
        sys.exit(f"run make_data.py without --check; not as the source has it: {', '.join(differs)}")


if __name__ == "__main__":
    main()
