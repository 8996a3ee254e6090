"""Build the plain language data set from its hand-written source, or check it.

python data/make_plain_language.py           write the two JSON Lines files
python data/make_plain_language.py --check   compare them with what would be written
"""

from __future__ import annotations

import re
from pathlib import Path

from making import Examples, make

from lora_lessons.tasks.scores.plain_language import INSTRUCTION

SOURCE = Path(__file__).resolve().parent / "sources" / "plain_language.txt"
PER_TOPIC = 10
# Held out by topic: reading, driving, pets, school, insurance and work have one each.
HELD_OUT = ("library card", "car rental", "pet boarding", "school trip", "travel insurance", "freelance contract")


def read_source() -> Examples:
    """One conversation for each clause. Raises ValueError, naming the place, where the source has another form."""
    examples: Examples = []
    for block in SOURCE.read_text("ascii").split("\n# topic: ")[1:]:
        topic, *lines = block.strip().split("\n")
        pairs = re.findall(r"^C: (.+)\nP: (.+)$", "\n".join(lines), re.MULTILINE)
        if len(pairs) != PER_TOPIC or len(lines) != 2 * PER_TOPIC:
            raise ValueError(f"{SOURCE.name}, {topic}: write {PER_TOPIC} times a line 'C: ...', then a line 'P: ...'")
        for i, (clause, plain) in enumerate(pairs, 1):
            prompt = INSTRUCTION + clause
            if not (20 <= len(prompt.split()) <= 55 and 10 <= len(plain.split()) <= 35):
                raise ValueError(f"{SOURCE.name}, {topic}, {i}: 20 to 55 words with the instruction, plain 10 to 35")
            examples.append(
                {
                    "id": f"plain-language-{topic.replace(' ', '-')}-{i:02d}",
                    "topic": topic,
                    "messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": plain}],
                }
            )
    return sorted(examples, key=lambda example: example["id"][-2:])  # topics take turns


if __name__ == "__main__":
    examples = read_source()
    train, held_out = ([e for e in examples if (e["topic"] in HELD_OUT) == held] for held in (False, True))
    make("plain_language", train, held_out)
