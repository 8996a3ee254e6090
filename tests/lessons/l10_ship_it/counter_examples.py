"""What lesson 10's verdict must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED

EXAMPLES = {
    ("G13", "10_ship_it"): [
        ({}, CONDITION),
        ({"swap.several": False}, CORRECTED),
        ({"parity.holds": False}, None),
        ({"swap.holds": False}, None),
    ],
}
