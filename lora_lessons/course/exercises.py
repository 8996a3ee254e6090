"""Exercises: a stub in the notebook, and a check that names the likely mistake.

A check returns None when the answer is right, a Remark when it is right and there is something to add. Else it stops at
the first mistake that it can name (`wrong_if`, `wrong_like`, `tried`, `one_number`), or returns the sentence for it.
Hints and solution stand folded in the notebook, beside the stub.
"""

from __future__ import annotations

import contextlib
import io
import re
import traceback
from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any, NamedTuple

from .. import paths
from ..errors import first_line, holding
from ..outside import in_html
from . import earlier, learner, own_code

Check = Callable[[Any], str | None]


class Exercise(NamedTuple):
    """One exercise: `id` is lesson.number, `difficulty` 1 (warm-up) to 3 (needs an idea), `minutes` an honest guess.

    What later lessons use is kept as `keeps`.py, with `imports` above it (see `own_code`).
    """

    id: str
    title: str
    difficulty: int
    minutes: int
    check: Check
    keeps: str = ""
    imports: str = ""


EXERCISES: dict[str, Exercise] = {}  # a lesson's room fills it when it is imported


def exercise(
    id: str, title: str, difficulty: int, minutes: int, keeps: str = "", imports: str = ""
) -> Callable[[Check], Check]:
    """Register a check function under its exercise's id."""

    def register(check: Check) -> Check:
        EXERCISES[id] = Exercise(id, title, difficulty, minutes, check, keeps, imports)
        return check

    return register


def judge(id: str, answer: Any) -> tuple[str, str]:
    """("solved" | "open" | "not yet", sentence) for an answer; never raises because of the answer itself."""
    if id not in EXERCISES:
        known = ", ".join(EXERCISES) or "none: import the lesson's room first"
        raise KeyError(f"no exercise {id!r}; known here: {known}.")
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            sentence = EXERCISES[id].check(answer)
    except Unsolved:
        if printed.getvalue().strip():
            return "not yet", "Your function printed its answer; it must return it. Write return in place of print."
        return (
            "open",
            "Not solved yet: fill in the stub above (a function ends with `return` and its result) and run it "
            "again. The hints are folded below it.",
        )
    except Mistake as mistake:
        return "not yet", str(mistake)
    except Exception as error:  # a learner's code may fail in any way; the check answers with a sentence
        sentence = f"{type(error).__name__}: {error}"
        frames = traceback.extract_tb(error.__traceback__)
        if all(paths.is_ours(frame.filename) for frame in frames):
            return (
                "not yet",
                f"The check cannot use your answer. {sentence}. Keep the stub's arguments, and return what it says.",
            )
        return "not yet", f"Your code stopped with an error. {sentence}"
    finally:
        print(printed.getvalue(), end="")
    right = f"Correct. You have solved “{EXERCISES[id].title}”."
    if isinstance(sentence, Remark):
        return "solved", f"{right} {sentence}"
    return ("not yet", sentence) if sentence else ("solved", right)


class Remark(str):
    """What a check adds to a right answer."""


class Unsolved(Exception):
    """The stub still returns `...` or None: not an answer yet."""


def answered(value: Any) -> Any:
    """`value`, unless it is still the stub's `...` or None: then Unsolved is raised."""
    if value is ... or value is None:
        raise Unsolved
    return value


class Mistake(Exception):
    """Where a check stops, however deep in it: what is wrong, as the sentence for the learner."""


def wrong_if(*reasons: tuple[object, str]) -> None:
    """Stop at the first reason that holds, with the sentence beside it."""
    for sentence in holding(*reasons):
        raise Mistake(sentence)


def wrong_like(got: Any, *mistakes: tuple[Any, str], rtol: float = 1e-5, atol: float = 1e-5) -> None:
    """Stop where `got` is what a known mistake gives: what each gives, numbers or a tensor, with its sentence."""
    import torch

    def flat(result: Any) -> torch.Tensor:
        return result.double().flatten() if isinstance(result, torch.Tensor) else torch.tensor([float(result)]).double()

    ours = flat(got)
    for wrong, sentence in mistakes:
        theirs = flat(wrong)
        wrong_if((ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=rtol, atol=atol), sentence))


def tried(run: Callable[[], Any], *errors: tuple[Any, str, str]) -> Any:
    """What `run` returns. Of an error that is known, by its type and a pattern in its text, the sentence beside them;
    a {} in that stands for what PyTorch said."""
    try:
        return run()
    except Exception as error:
        wrong_if(
            *(
                (isinstance(error, kind) and re.search(pattern, str(error)), sentence.replace("{}", first_line(error)))
                for kind, pattern, sentence in errors
            )
        )
        raise


def one_number(value: Any) -> Any:
    """`value`, where it is an answer and one number; a list, a tuple, a tensor … is not."""
    kind = type(answered(value)).__name__
    said = f"Return one number; your function returned {'an' if kind[0] in 'aeiou' else 'a'} {kind}."
    wrong_if((not isinstance(value, Real) or isinstance(value, bool), said))
    return value


def by(shape: Iterable[int]) -> str:
    """A shape in words: 3×4."""
    return "×".join(map(str, shape))


def check(id: str, answer: Any) -> None:
    """Judge a learner's answer to exercise `id`, say so, remember a solved one, and keep what later lessons use."""
    from IPython.display import HTML, display

    if said := earlier.refused(learner.begun, id):
        print(said)
        return
    id = earlier.IN_0_3.get(learner.begun, {}).get(id, id)  # in a copy of 0.2
    state, sentence = judge(id, answer)
    one = EXERCISES[id]
    if state == "solved":
        learner.solved(id)
        if one.keeps:
            sentence += " " + own_code.keep(one.keeps, answer, lambda alone: _wrong(id, alone), one.imports)
    mark, edge = {"solved": ("✔", "#009E73"), "open": ("○", "#5f6368"), "not yet": ("✘", "#D55E00")}[state]
    head = f"{mark} Exercise {id} · {'★' * one.difficulty}{'☆' * (3 - one.difficulty)} · {one.minutes} min"
    body = f"<b>{head}</b><br>{in_html(sentence)}"
    display(HTML(f"<div style='border-left:4px solid {edge};padding:.3em .8em'>{body}</div>"))


def _wrong(id: str, answer: Any) -> str:
    """What is wrong with an answer; "" where it solves the exercise."""
    state, sentence = judge(id, answer)
    return "" if state == "solved" else sentence


def own_layer(file: str, name: str, exercise: str, otherwise: type[Any]) -> type[Any]:
    """The learner's class of file.py where the check of `exercise` still finds it right, or the course's.

    Prints which, and in one sentence what keeps the learner's from training.
    """
    made = own_code.read(file, name)
    if not isinstance(made, str):
        if not (wrong := _wrong(exercise, made)):
            print(f"Your own {name} trains.")
            return made
        made = f"Your {name} is not right yet. {wrong}"
    print(f"{made} The course's layer trains here; to train your own, solve exercise {exercise}.")
    return otherwise
