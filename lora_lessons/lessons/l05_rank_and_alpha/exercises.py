"""The exercise of lesson 05: when one result is better than another."""

from __future__ import annotations

from collections.abc import Callable

from ...course.exercises import Unsolved, exercise


@exercise("05.2", "Is it better, or only lower?", difficulty=2, minutes=8)
def exercise_05_2(better: Callable[[list[float], list[float]], str | None]) -> str | None:
    here = [3.10, 3.11, 3.12]
    others = {
        "apart": [3.17, 3.18, 3.19],
        "wide": [3.00, 3.20, 3.40],
        "touching": [3.145, 3.155, 3.165],
        "far": [9.0, 9.1, 9.2],
    }
    got = {name: better(list(here), other) for name, other in others.items()}
    turned = better(others["apart"], list(here))
    if all(value in (None, ...) for value in (*got.values(), turned)):
        raise Unsolved
    if list(got.values()) == ["a", None, None, "a"] and turned == "b":
        return None
    if (got["far"], turned) == ("b", "a"):
        return "Turned round: the lower loss is the better one, so return its letter."
    if got["wide"] == "a":
        return "You went by the means. [3.00, 3.20, 3.40] is too uncertain to be called worse, because its interval reaches below 3.10."
    if got["touching"] == "a":
        return (
            "Your intervals are too narrow: half of one is 4.303 · s/√3, about 2.5 standard deviations, with s = statistics.stdev, which "
            f"divides by n − 1. So {here} and {others['touching']} overlap."
        )
    if got["apart"] is None:
        return f"{here} and {others['apart']} do not overlap. Are your intervals too wide? Half of one is 4.303 · s/√3."
    for name in ("wide", "touching"):
        if got[name] is not None:
            return f"The intervals of {here} and {others[name]} overlap: return None; you returned {got[name]!r}."
    return f"For {here} against {others['apart']} expected 'a', and 'b' the other way round; you gave {got['apart']!r} and {turned!r}."
