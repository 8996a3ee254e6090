"""What lesson 10's verdicts must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, NOT_TESTED

EXAMPLES = {
    ("G13", "10_ship_it"): [
        ({}, CONDITION),
        ({"swap.several": False}, CORRECTED),
        ({"parity.holds": False}, None),
        ({"swap.holds": False}, None),
    ],
    ("G18", "10_ship_it"): [({}, NOT_TESTED), ({"formats.loaded": 3}, None), ({"formats.exl2": "ok"}, None)],
}
