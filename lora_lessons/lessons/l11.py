"""Lesson 11: Is it yours, and is it any good?

After it, the learner can fine-tune on data of your own, and say honestly whether it helped.
"""

# What judges its exercises: find the leak in a split, write the rule of a good answer, ask what a coin would do.

from __future__ import annotations

from collections.abc import Callable

from ..course.blind_judge import by_chance as right_chance
from ..course.exercises import answered, exercise, one_number
from ..tasks.scores import own

TRAIN = ["My Mossby is dark.", "Why does it beep?", "The leaf glows red!", "How do I fill the tank?"]
HELD_OUT = [
    "the leaf glows  red",
    "Can I wash the wheels?",
    "WHY DOES IT BEEP",
    "Why does it beep at night?",
    "My Mossby is dark.",
]

GOOD = "Cause: The tank is empty.\nFix: Fill it to the white line.\nIf not: Clean the float."


@exercise("11.1", "The leak in a split", difficulty=2, minutes=8)
def exercise_11_1(leaks: Callable[[list[str], list[str]], list[int]]) -> str | None:
    got = answered(leaks(list(TRAIN), list(HELD_OUT)))
    if not isinstance(got, (list, tuple, set)):
        return f"Return a list of numbers; your function returned a {type(got).__name__}."
    if any(isinstance(one, str) for one in got):
        return "Return the numbers of the held-out lines, from 0, and not the lines themselves."
    numbers = sorted(got)
    if numbers == [0, 2, 4]:
        if sorted(leaks(["a b"], ["A  B.", "a b c"])) != [0]:
            return (
                "Right for these lines and wrong for others: compare what is left when capitals, "
                "spaces and marks are gone."
            )
        if sorted(leaks(["It's red"], ["it is red", "Its red"])) == [0, 1]:
            return "Too much: “it is red” is another text. Take out capitals, spaces and marks, and keep the words."
        return None
    if numbers == [4]:
        return (
            "You found only the exact copy. Line 0 differs in capitals, spaces and a mark, "
            "and is as well known to the model."
        )
    if numbers in ([1, 3], [1]):
        return "Turned round: those are the lines that training has never seen."
    if numbers == [0, 1, 2]:
        return "Those are the numbers of training lines. Which held-out lines must go?"
    if 3 in numbers:
        return "Line 3 asks something else (“at night”): a text that begins alike is no copy. Compare whole texts."
    if set(numbers) < {0, 2, 4}:
        missing = min({0, 2, 4} - set(numbers))
        return (
            f"Held-out line {missing} ({HELD_OUT[missing]!r}) is a copy, too: what else can differ between two copies?"
        )
    return f"Lines 0, 2 and 4 are copies of training lines; you gave {numbers}."


@exercise("11.2", "The rule of a good answer", difficulty=1, minutes=6)
def exercise_11_2(good: Callable[[str], bool]) -> str | None:
    if not answered(good(GOOD)):
        return f"Your rule refuses a good answer:\n{GOOD}"
    named = {
        "Mossby is a robot.": "a sentence without any of the three",
        GOOD.replace("\n", " "): "all three on one line",
        "\n".join(reversed(GOOD.splitlines())): "the three lines in the wrong order",
        f"{GOOD}\nFix: Fill it again.": "a fourth line",
        f"Hello!\n{GOOD}": "a line before the three",
        "\n".join(GOOD.splitlines()[:2]): "the first two lines alone",
        "Cause: The tank is empty.\nFix: \nIf not: Clean the float.": "a line with nothing behind its label",
        "Cause The tank.\nFix it.\nIf not, clean.": "lines without a colon behind the label",
    }
    for wrong, what in named.items():
        if good(wrong):
            return f"Your rule says yes to {what}:\n{wrong}"
    if not good(GOOD + "\n"):
        return "Your rule refuses a good answer because a line break follows it: strip() the text first."
    verdict = good(GOOD)
    if verdict is not True:
        return f"Right, but return True or False: yours returned {verdict!r}."
    longer = "Cause: It is: late.\nFix: Wait one hour.\nIf not: Ask us."
    return None if good(longer) and own.helpdesk(longer) else f"Your rule refuses another good answer:\n{longer}"


@exercise("11.3", "What a coin would do", difficulty=2, minutes=8)
def exercise_11_3(by_chance: Callable[[int, int], float]) -> str | None:
    got = one_number(by_chance(9, 10))
    right = right_chance(9, 10)
    for wrong, advice in (
        (
            11 / 1024,
            "That counts one side only. A coin that preferred the base nine times would be as uneven: count both.",
        ),
        (10 / 1024, "That is exactly nine. Ten of ten is even more uneven, and counts."),
        (20 / 1024, "Nine on either side, but ten of ten is left out: “or more” is meant."),
        (0.9, "That is the share you saw. How often does a coin fall like that?"),
        (1 - right, "That is how often a coin falls more evenly: take the rest."),
    ):
        if abs(got - wrong) < 1e-6:
            return advice
    if abs(got - right) > 1e-6:
        return f"For 9 of 10 a coin is as uneven in 22 of its 1,024 ways to fall, {right:.4f}; you gave {got:.4f}."
    if abs(by_chance(1, 10) - right) > 1e-6:
        return "Right for 9 of 10. 1 of 10 is as uneven, so it must give the same."
    if by_chance(5, 10) > 1 + 1e-9:
        return "Right for 9 of 10. For 5 of 10 yours is more than 1: the middle was counted twice."
    wrong_at = next((k for k in range(13) if abs(by_chance(k, 12) - right_chance(k, 12)) > 1e-6), None)
    return None if wrong_at is None else f"Right for 10 pairs and wrong for {wrong_at} of 12: use `of`."
