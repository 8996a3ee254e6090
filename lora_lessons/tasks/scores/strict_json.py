"""The rules of a strict answer: one line of JSON with four keys in order, and each value as the message has it.

The message is what stands below the first line of the prompt. What is right is read from the example's own answer,
as values: a space more or less between the JSON's parts is no fault.
"""

from __future__ import annotations

import json
import re
from typing import Any

TEXT, NUMBER = "text in quotes", "a whole number without quotes"
KEYS = {"item": TEXT, "count": NUMBER, "day": TEXT, "name": TEXT}
# characters that are read, so that no nesting is too deep; the data's longest answer has about 90
LONGEST = 400


def read(answer: str) -> tuple[tuple[str, Any], ...] | None:
    """The (key, value) pairs of `answer` as they stand, repeated keys too; None when it is not one JSON object."""
    try:
        pairs = json.loads(answer, object_pairs_hook=tuple) if len(answer) <= LONGEST else None
    except (ValueError, RecursionError):
        return None
    return pairs if isinstance(pairs, tuple) else None


def typed(key: str, value: Any) -> bool:
    """Whether `value` is null or of the type that `key` asks for; true and 12.0 are no whole numbers."""
    return value is None or type(value) is (int if key == "count" else str)


def format_faults(answer: str) -> list[str]:
    """Return advice for each rule of the form that `answer` breaks, whatever its values say; [] for a good form."""
    pairs = read(answer)
    if pairs is None:
        return [f"write one JSON object of at most {LONGEST} characters, and nothing before or after it"]
    facts = dict(pairs)
    rules = {
        "write it on one line": len(answer.strip().splitlines()) == 1,
        f"give the keys {', '.join(KEYS)}, in this order, each once": [key for key, _ in pairs] == list(KEYS),
    } | {f"give {key} as {kind}, or null": typed(key, facts.get(key)) for key, kind in KEYS.items()}
    return [advice for advice, holds in rules.items() if not holds]


def faults(answer: str, example: dict[str, Any]) -> list[str]:
    """Return advice for each rule that `answer` to `example` breaks, so [] for a good one: first the form, then values.

    A key that is missing or has a value of the wrong type is named by the form alone.
    """
    advice, given = format_faults(answer), dict(read(answer) or ())
    prompt, gold = (message["content"] for message in example["messages"][-2:])
    message = prompt.partition("\n")[2]
    for key, right in json.loads(gold).items():
        value = given.get(key, right)
        if value == right or not typed(key, value):
            continue
        if isinstance(value, str) and not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", message):
            advice.append(f"copy {key} from the message, which does not have {value!r}")
        else:
            advice.append(f"read the message again: {key} is {json.dumps(right)}, not {json.dumps(value)}")
    return advice


def looks_like(answer: str) -> bool:
    """One JSON object where a sentence was asked for."""
    return read(answer) is not None
