"""Build the preference pairs from their hand-written source, or check them.

python data/make_preferences.py           write train_pairs.jsonl and held_out_pairs.jsonl
python data/make_preferences.py --check   compare them with what would be written
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from making import MAX_OVERLAP, overlap

from lora_lessons.files import write_text

DATA = Path(__file__).resolve().parent
SOURCE = DATA / "sources" / "preferences.txt"
N_TOPICS, PER_TOPIC = 20, 4
# Held out by topic: kitchen, animals, home, travel and seasons are on both sides.
HELD_OUT = ("baking", "dogs", "coffee", "moving house", "trains", "gardens in autumn", "snow", "libraries")
# Words of an answer.
SHORT, WORDY = range(1, 15), range(40, 66)


def read_source() -> list[dict[str, Any]]:
    """One pair for each question, topics taking turns. Raises ValueError, naming the place, where a rule is broken."""
    pairs: list[dict[str, Any]] = []
    for block in SOURCE.read_text("ascii").split("\n# topic: ")[1:]:
        topic, *lines = block.strip().split("\n")
        kinds = [line[:3] for line in lines]
        if kinds != ["Q: ", "S: ", "W: "] * PER_TOPIC:
            raise ValueError(f"{SOURCE.name}, {topic}: write {PER_TOPIC} times a line Q, a line S and a line W.")
        for i in range(PER_TOPIC):
            prompt, chosen, rejected = (line[3:] for line in lines[3 * i : 3 * i + 3])
            if not prompt.endswith("?") or len(chosen.split()) not in SHORT or len(rejected.split()) not in WORDY:
                raise ValueError(
                    f"{SOURCE.name}, {topic}, {prompt!r}: a question, then at most {SHORT.stop - 1} words, then "
                    f"{WORDY.start} to {WORDY.stop - 1}, not {len(chosen.split())} and {len(rejected.split())}."
                )
            name = f"preferences-{topic.replace(' ', '-')}-{i + 1:02d}"
            pairs.append({"id": name, "topic": topic, "prompt": prompt, "chosen": chosen, "rejected": rejected})
    topics = {pair["topic"] for pair in pairs}
    if len(topics) != N_TOPICS or not set(HELD_OUT) <= topics or len({p["prompt"] for p in pairs}) < len(pairs):
        raise ValueError(f"{SOURCE.name}: keep {N_TOPICS} topics, all of {HELD_OUT} among them, and ask nothing twice.")
    return sorted(pairs, key=lambda pair: pair["id"][-2:])


def asked(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pairs as conversations, whose prompts `overlap` compares."""
    return [{"messages": [{"content": pair["prompt"]}, {"content": pair["chosen"]}]} for pair in pairs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the preference pairs.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    only_compare = parser.parse_args().check
    pairs = read_source()
    train, held_out = ([pair for pair in pairs if (pair["topic"] in HELD_OUT) == held] for held in (False, True))
    share, held, taught = overlap(asked(train), asked(held_out))
    if share > MAX_OVERLAP:
        sys.exit(f"reword one of two prompts that share words ({share:.2f}): {held!r}, {taught!r}")
    for name, part in (("train_pairs", train), ("held_out_pairs", held_out)):
        path = DATA / "preferences" / f"{name}.jsonl"
        content = "".join(json.dumps(pair) + "\n" for pair in part)
        print(f"{name}: {len({pair['topic'] for pair in part})} topics, {len(part)} pairs")
        if not only_compare:
            write_text(path, content)
        elif not path.is_file() or path.read_text(encoding="utf-8") != content:
            sys.exit(f"run this without --check; not as the source has it: {path}")
    print(f"largest overlap of a held-out and a training prompt: {share:.2f}")
