"""What the makers of the data sets share: examples checked against each other, then written whole or compared.

python data/make_<task>.py           write train.jsonl and held_out.jsonl
python data/make_<task>.py --check   compare them with what would be written
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

from lora_lessons.files import write_text
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores

Examples = list[dict[str, Any]]

MAX_OVERLAP = 0.6  # of a held-out prompt's content words with any training prompt's
STOP_WORDS = frozenset(
    """a an and any are as at be can did do does for from get has have how i if in is it its me my no not of off on or
    should so that the their them they this to up was what when where which while who why will with without you
    your""".split()  # noqa: SIM905
)


def content_words(text: str) -> set[str]:
    """The lower-cased words of `text` that carry meaning."""
    return {word.removesuffix("'s") for word in re.findall(r"[a-z0-9']+", text.lower())} - STOP_WORDS


def overlap(train: Examples, held_out: Examples) -> tuple[float, str, str]:
    """The largest Jaccard overlap of content words between a held-out and a training prompt, and those two prompts."""
    prompts = [[e["messages"][-2]["content"] for e in part] for part in (held_out, train)]
    held, learnt = ([(content_words(prompt), prompt) for prompt in part] for part in prompts)
    return max((len(h & t) / len(h | t), asked, taught) for h, asked in held for t, taught in learnt)


def check(task: str, train: Examples, held_out: Examples) -> list[str]:
    """What is wrong with these examples, in sentences; [] when they keep every rule of the course and of the task."""
    wrong = []
    if len(train) < 200 or len(held_out) < 50:
        wrong.append(f"keep 200 examples to train on and 50 held out, not {len(train)} and {len(held_out)}")
    if shared := {e["topic"] for e in train} & {e["topic"] for e in held_out}:
        wrong.append(f"a topic is either taught or held out: {sorted(shared)}")
    seen: dict[str, str] = {}
    for example in train + held_out:
        prompt, answer = (message["content"] for message in example["messages"][-2:])
        wrong += [f"{example['id']}: {advice}" for advice in scores.faults(task, answer, example)]
        if (other := seen.setdefault(prompt, example["id"])) != example["id"]:
            wrong.append(f"{example['id']} asks what {other} asks")
    share, asked, taught = overlap(train, held_out)
    if share > MAX_OVERLAP:
        wrong.append(f"reword one of two prompts that share words ({share:.2f}): {asked!r}, {taught!r}")
    return wrong


def make(task: str, train: Examples, held_out: Examples) -> None:
    """Check, then write both files of `task`, or with --check on the command line compare them."""
    parser = argparse.ArgumentParser(description=f"Build the data of the task {task}.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    only_compare = parser.parse_args().check
    if wrong := check(task, train, held_out):
        sys.exit("\n".join(wrong))
    differs = []
    for name, examples in (("train", train), ("held_out", held_out)):
        path = course_root() / "data" / task / f"{name}.jsonl"
        content = "".join(json.dumps(example) + "\n" for example in examples)
        print(f"{name}: {len({e['topic'] for e in examples})} topics, {len(examples)} examples")
        if not only_compare:
            write_text(path, content)
        elif not path.is_file() or path.read_text(encoding="utf-8") != content:
            differs.append(str(path))
    print(f"largest overlap of a held-out and a training prompt: {overlap(train, held_out)[0]:.2f}")
    if differs:
        sys.exit(f"run this without --check; not as the source has it: {', '.join(differs)}")
