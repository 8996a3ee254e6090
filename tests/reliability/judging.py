"""What came of an input: the right result, one sentence, or one of the ways in which a reader can fail its user."""

import dataclasses
import hashlib
import json
import re
import traceback
from pathlib import Path
from typing import Any, NamedTuple

RIGHT, SENTENCE = "right", "sentence"
# An error of another type than documented, or one that is no sentence; too long; another result without a word;
# too large.
TRACEBACK, HANG, SILENT, MEMORY = "traceback", "hang", "silent", "memory"
KINDS = (RIGHT, SENTENCE, TRACEBACK, HANG, SILENT, MEMORY)
BAD = (TRACEBACK, HANG, SILENT, MEMORY)
SECONDS = 20  # no reader may take longer
LONGEST = 1200  # characters in a line of what a reader says


class Outcome(NamedTuple):
    """What came of one input, what the reader said, and where in the package that began."""

    kind: str
    said: str = ""
    where: str = ""


# What Python and libraries say to programmers; in brackets a reader may quote a library, but never these.
_NEVER = re.compile(r"Traceback|File \"|<class |object at 0x|\bpydantic\b|huggingface\.co", re.I)
_INNER = re.compile(
    r"NoneType|has no attribute|not subscriptable|not iterable|indices must "
    r"be|unhashable|positional argument|object is not"
    r"|unexpected keyword|unsupported operand|invalid literal|could not convert|Expecting |Extra "
    r"data|not supported between"
    r"|\b\w+(?:Error|Exception)\b|\[Errno"
)
_ADVICE = re.compile(
    r"\b(give|choose|copy|fetch|save|load|restore|write|make|run|delete|set|"
    r"use|convert|mend|check|correct|train|say|name"
    r"|take|leave|put|rename|pass|free|log "
    r"in|connect|try|export|split|add|remove|close|install|type|unset|start|merge|move"
    r"|lower|shorten|re-?create|repair|replace|open|pick|read|ask|is kept as|ignored|set "
    r"aside|anew|must|needs?|expected"
    r"|there are|lessons are|such as|what is possible|Did you mean)\b",
    re.I,
)


def not_a_sentence(said: str) -> str:
    """Why `said` is no sentence that says what is wrong and what to do; "" where it is one. Each line must be one."""
    lines = said.strip().splitlines()
    if not lines:
        return "nothing is said"
    for line in lines:
        outside = re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)", "", line)
        if found := _NEVER.search(line) or _INNER.search(outside):
            return f"it speaks to programmers ({found[0]})"
        if len(line.split()) < 5 or not re.search(r"[.?!…)]['\"”]?$", line):
            return "it is no whole sentence"
        if len(line) > LONGEST:
            return f"it has {len(line)} characters"
    return "" if _ADVICE.search(said) else "it does not say what to do"


def where_in_package(error: BaseException) -> str:
    """The error's type, and the innermost line of the package on its way."""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "lora_lessons" in f.filename or "lora_tools" in f.filename
    ]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "outside the package"
    return f"{type(error).__name__} in {place}"


def digest(answer: Any) -> str:
    """A name for what a reader returned: equal for equal answers, bit for bit."""
    return hashlib.sha256(json.dumps(_plain(answer), sort_keys=True, default=repr).encode()).hexdigest()[:24]


def _plain(value: Any) -> Any:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu().contiguous().flatten()
        whole = tensor.view(__import__("torch").uint8).numpy().tobytes()
        return ["tensor", str(value.dtype), list(value.shape), hashlib.sha256(whole).hexdigest()]
    if isinstance(value, dict):
        return {repr(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(repr, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(vars(value))
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return value if isinstance(value, (str, int, bool, type(None))) else repr(value)


class Refused(Exception):
    """What a command said on standard error when it could not be done as asked."""
