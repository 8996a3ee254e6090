"""A learner's own examples in two parts: what is trained on, and what is held out to judge by, with nothing in both.

topics     whole topics are held out where the examples name them: "does it carry over?" is a harder, fairer question
groups     else examples that ask nearly the same stay together: a copy on both sides would be
           remembered, not understood
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

Example = dict[str, Any]
T = TypeVar("T")

TOPIC_FIELDS = ("topic", "category")
# held out of a small file; of a large one, MOST_HELD_OUT
SHARE = 0.25
MOST_HELD_OUT = 40
LEAST = 4
# Two prompts with this share of words in common (Jaccard) count as nearly the same.
ALIKE = 0.7


class Drawn(NamedTuple):
    """A sample of a stream, and how many there were."""

    examples: list[Any]
    of: int


class Split(NamedTuple):
    """Examples to train on and to judge by, and by what they were parted: "topic", "group",
    or "copy" (equal prompts)."""

    train: list[Example]
    held_out: list[Example]
    by: str
    # the topics that training never sees
    topics: tuple[str, ...] = ()
    # held-out examples that said nearly what a training example says, and so went over to training
    moved: int = 0


def draw(stream: Iterable[T], most: int, seed: int = 0) -> Drawn:
    """At most `most` of a stream of any length, each with the same chance, in the stream's order (Vitter 1985).

    Only the sample is held in memory. Raises ValueError where `most` is no number of at least LEAST.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < LEAST:
        raise ValueError(f"most = {most!r}: draw at least {LEAST} examples, a whole number.")
    chance, count = random.Random(seed), 0
    kept: list[tuple[int, T]] = []
    for count, one in enumerate(stream, 1):
        if len(kept) < most:
            kept.append((count, one))
        elif (place := chance.randrange(count)) < most:
            kept[place] = (count, one)
    return Drawn([one for _, one in sorted(kept, key=lambda pair: pair[0])], count)


def split(examples: Sequence[Example], seed: int = 0) -> Split:
    """Hold out a quarter of the examples, at most MOST_HELD_OUT: the same ones for the same seed.

    Whole topics are held out where every example names one (see TOPIC_FIELDS) and there are three or more. Examples
    whose prompts are ALIKE never stand on both sides; where nearly all are, as in a file made from one template, only
    equal prompts are kept together. Raises ValueError for fewer than LEAST examples, or examples that all ask the same.
    """
    if len(examples) < LEAST:
        raise ValueError(
            f"too few examples to hold any out ({len(examples)}): write at least {LEAST}, and better a dozen."
        )
    prompts, topics = [prompt_of(one) for one in examples], [topic_of(one) for one in examples]
    named = "" not in topics and len(set(topics)) > 2
    for share in (ALIKE, 1.0):
        groups = alike(prompts, share)
        kinds = [("topic", topics)] * named + [("group" if share < 1 else "copy", groups)]
        for by, keys in kinds:
            candidate = _parted(examples, by, _chosen(keys, seed), groups)
            if len(candidate.train) >= len(examples) / 2 and candidate.held_out:
                return candidate
    raise ValueError("all examples ask nearly the same, so none can be held out: add some that ask other things.")


def _parted(examples: Sequence[Example], by: str, held: Sequence[bool], groups: Sequence[int]) -> Split:
    """The two parts, once what is `held` is known: an example of a group that trains goes over to training."""
    taught = {group for group, inside in zip(groups, held, strict=True) if not inside}
    copies = [inside and group in taught for group, inside in zip(groups, held, strict=True)]
    kept = [inside and not copy for inside, copy in zip(held, copies, strict=True)]
    train = [one for one, inside in zip(examples, kept, strict=True) if not inside]
    held_out = [one for one, inside in zip(examples, kept, strict=True) if inside]
    names = tuple(sorted({topic_of(one) for one in held_out})) if by == "topic" else ()
    return Split(train, held_out, by, names, sum(copies))


def _chosen(keys: Sequence[Any], seed: int) -> list[bool]:
    """Which examples are held out: whole keys, drawn by seed, as many as come nearest to a quarter of the examples."""
    wanted = max(1, min(round(SHARE * len(keys)), MOST_HELD_OUT))
    members: dict[Any, int] = defaultdict(int)
    for key in keys:
        members[key] += 1
    order = sorted(members, key=str)
    random.Random(seed).shuffle(order)
    taken: set[Any] = set()
    count = 0
    for key in sorted(order, key=lambda key: members[key] > wanted):  # one large topic must not become the whole test
        after = count + members[key]
        if len(taken) < len(members) - 1 and abs(wanted - after) < wanted - count:
            taken.add(key)
            count = after
    return [key in taken for key in keys]


def topic_of(example: Example) -> str:
    """What an example says it is about; "" where it does not say."""
    named = (str(example[name]).strip() for name in TOPIC_FIELDS if example.get(name) is not None)
    return next(filter(None, named), "")


def prompt_of(example: Example) -> str:
    """What is asked: every message of the user, but not a system prompt, which many examples share."""
    return "\n".join(one["content"] for one in example["messages"] if one["role"] == "user")


def words(text: str) -> frozenset[str]:
    """The lower-cased words of a text; of one without any, such as "?!", the text itself."""
    return frozenset(re.findall(r"\w+", text.lower()) or [text])


def alike(texts: Sequence[str], share: float = ALIKE) -> list[int]:
    """A group number for each text: texts with `share` of their words in common get the same, also by way of a third.

    Two such sets share a word among the rarest few of each, so only texts that do are compared (prefix filtering,
    Chaudhuri et al. 2006): 10,000 lines take seconds, not minutes.
    """
    sets = [words(text) for text in texts]
    count: dict[str, int] = defaultdict(int)
    for one in sets:
        for word in one:
            count[word] += 1
    leader = list(range(len(texts)))

    def group(n: int) -> int:
        while leader[n] != n:
            leader[n] = n = leader[leader[n]]
        return n

    seen: dict[str, list[int]] = defaultdict(list)
    for n, one in enumerate(sets):
        rarest = sorted(one, key=lambda word: (count[word], word))
        prefix = rarest[: len(one) - math.ceil(share * len(one) - 1e-9) + 1]
        for other in {m for word in prefix for m in seen[word]}:
            if len(one & sets[other]) >= share * len(one | sets[other]):
                leader[group(n)] = group(other)
        for word in prefix:
            seen[word].append(n)
    return [group(n) for n in range(len(texts))]
