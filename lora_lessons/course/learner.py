"""The learner's own small file: predictions made, exercises solved; and the folders and code kept beside it.

The file is only ever added to, and written whole or not at all.
"""

from __future__ import annotations

import glob
import json
import math
import os
import re
from datetime import date
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

from ..files import set_aside, write_text
from ..paths import data_dir
from . import earlier
from .records import show_value

# "solved" is what 0.2 kept, "exercises" what 0.3 did, each by its numbers; they stay in the file as they were.
SECTIONS = ("done", "predictions", "judged", "exercises", "solved")
begun = ""  # the notebook of this kernel, as it called itself when it began


def progress_file() -> Path:
    """$LORA_LESSONS_PROGRESS, or progress.json in the user's data folder."""
    given = os.environ.get("LORA_LESSONS_PROGRESS")
    return Path(given) if given else data_dir() / "progress.json"


class _Unsaved(NamedTuple):
    """What could not be saved: it lasts as long as this kernel.
    `readable`: the file may be written once there is room."""

    progress: dict[str, dict[str, Any]]
    readable: bool


# by progress file
_unsaved: dict[Path, _Unsaved] = {}


def read_progress() -> dict[str, dict[str, Any]]:
    """The learner's file as {"done": {id: date solved}, "predictions": {key: value}, "judged": {key: marks}};
    empty where there is none. One of 0.2 or 0.3 is read by today's numbers.

    A damaged file is set aside beside itself, never overwritten. Where that cannot be, or the file cannot be read, the
    lesson is told so once, and what it remembers lasts as long as this kernel.
    """
    file = progress_file()
    if file in _unsaved:
        return _unsaved[file].progress
    empty: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    try:
        kept = _checked(json.loads(file.read_text(encoding="utf-8")))
        return empty | {"done": earlier.solved(kept)} | kept
    except (FileNotFoundError, NotADirectoryError):
        return empty
    except OSError as error:
        return _go_on_without(f"cannot be read ({error.strerror or error})", empty)
    except (ValueError, RecursionError):
        try:
            aside = set_aside(file)
        except OSError as error:
            return _go_on_without(f"is damaged, and cannot be set aside ({error.strerror or error})", empty)
        print(f"Your progress file could not be read. It is kept as {aside.name}, and a new one is started.")
        return empty


def _checked(progress: Any) -> dict[str, dict[str, Any]]:
    """`progress`, if it is what `_remember` writes. Raises ValueError where it is not."""
    sections = [progress.get(name, {}) for name in SECTIONS] if isinstance(progress, dict) else []
    values = [value for section in sections if isinstance(section, dict) for value in section.values()]
    whole = len(sections) == sum(isinstance(section, dict) for section in sections) == len(SECTIONS)
    if not whole or not all(isinstance(value, int | float | str) for value in values):
        raise ValueError("not a progress file")
    return progress


def _go_on_without(why: str, progress: dict[str, dict[str, Any]], readable: bool = False) -> dict[str, dict[str, Any]]:
    """Keep `progress` in memory alone from now on, and say so."""
    file = progress_file()
    if file not in _unsaved:
        print(
            f"Your progress file {file} {why}. You can go on with the lesson all the same: until its kernel ends, your "
            "progress is remembered. Mend or move that file, or set LORA_LESSONS_PROGRESS to another one, to keep it."
        )
    _unsaved[file] = _Unsaved(progress, readable)
    return progress


def _remember(section: str, key: str, value: Any) -> None:
    file, progress = progress_file(), read_progress()
    progress[section][key] = value
    if file in _unsaved and not _unsaved[file].readable:
        return
    try:
        write_text(file, json.dumps(progress, indent=2) + "\n")
    except OSError as error:
        _go_on_without(f"could not be saved ({error.strerror or error})", progress, readable=True)
    else:
        _unsaved.pop(file, None)


def my_folder(name: str | Path) -> Path:
    """A new folder for something the learner made, such as "adapters/wick": never one that exists (then -2, -3 …).

    It lies beside the progress file, or where an absolute path says.
    """
    first = progress_file().parent / name
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def newest_folder(name: str, place: Path | None = None) -> Path | None:
    """The newest of the folders that `my_folder(name)` named and a lesson filled; None where there is none.

    They lie beside the progress file, or in `place`.
    """
    first = (place or progress_file().parent) / name
    made = [f for f in (first, *first.parent.glob(f"{glob.escape(first.name)}-[0-9]*")) if f.is_dir()]
    return max(made, key=lambda f: f.stat().st_mtime, default=None)


def keep_code(name: str, source: str) -> Path:
    """Keep a piece of code that the learner wrote as name.py beside the progress file, then name-2.py, name-3.py …

    Nothing is overwritten, and what the newest one says already is not written again. Returns the file.
    """
    newest = newest_code(name)
    if newest is not None and newest.read_text(encoding="utf-8", errors="replace") == source:
        return newest
    folder, number = progress_file().parent, 1 + max(_codes(name), default=0)
    file = folder / (f"{name}.py" if number == 1 else f"{name}-{number}.py")
    write_text(file, source)
    return file


def newest_code(name: str) -> Path | None:
    """The newest file that `keep_code(name, …)` wrote; None where there is none."""
    kept = _codes(name)
    return kept[max(kept)] if kept else None


def _codes(name: str) -> dict[int, Path]:
    """The kept versions of a piece of code by number. Raises ValueError for a name that is no plain word."""
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"{name!r} cannot name a piece of code: use letters, digits and underscores, such as my_lora.")
    files = [(re.fullmatch(rf"{name}(?:-(\d+))?\.py", f.name), f) for f in progress_file().parent.glob(f"{name}*.py")]
    return {int(match[1] or 1): file for match, file in files if match}


def solved(exercise: str) -> None:
    """Remember that an exercise was solved, with the day of the first time."""
    if exercise not in read_progress()["done"]:
        _remember("done", exercise, date.today().isoformat())


def predict(key: str, guess: float | str | None, unit: str = "") -> None:
    """Commit to a prediction; `compare` holds it against the measurement."""
    if guess is None or guess is ...:
        print("No prediction yet. Put your guess in place of None and run this cell again: a wrong guess teaches most.")
        return
    if unit and not _plain_number(guess):
        # No number stands in this sentence: an example might be the answer.
        print(f"Type your guess as one plain number, 0 or more, without quotes. Its unit, {unit}, is added for you.")
        return
    _remember("predictions", key, guess)
    print(f"Your prediction: {_with_unit(guess, unit)}. It is kept, and compared where that is measured.")


def keep_judgement(key: str, marks: str) -> None:
    """Remember how the learner judged a set of answers, a mark for each (see `blind_judge`)."""
    _remember("judged", key, marks)


def kept_judgement(key: str) -> str:
    """The marks that `keep_judgement` kept under `key`; "" where there are none."""
    return str(read_progress()["judged"].get(key, ""))


def compare(key: str, measured: float | str, unit: str = "", *, word: str = "measured") -> None:
    """Put the kept prediction beside what was measured; `word` says it where that was planned or recorded."""
    guess = read_progress()["predictions"].get(key)
    outcome = f"{word.capitalize()}: {_with_unit(measured, unit)}."
    if guess is None:
        print(f"{outcome} You made no prediction this time.")
    else:
        print(
            " ".join(filter(None, [f"You predicted {_with_unit(guess, unit)}.", outcome, _how_close(guess, measured)]))
        )


def _how_close(guess: Any, measured: Any) -> str:
    """One sentence on how far a guess is from what was measured; empty where there is nothing to say."""
    if not _plain_number(guess) or not _plain_number(measured):
        return ""
    if guess == measured:
        return "Exactly right."
    if 0 in (guess, measured):
        return ""
    factor = max(guess / measured, measured / guess)
    if factor < 1.1:
        return "Very close."
    if factor < 1.5:
        return "Close."
    sentence = (
        f"Your guess is {show_value(float(factor))} times too {'high' if guess > measured else 'low'}: "
        "what did you assume?"
    )
    return sentence + " Did you mean another unit?" * any(0.5 < factor / prefix < 2 for prefix in (1e3, 1e6))


def _plain_number(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < math.inf
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _with_unit(value: Any, unit: str) -> str:
    return f"{show_value(value)} {unit}".strip()
