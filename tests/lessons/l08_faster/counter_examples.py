"""What the verdicts of 08_faster must become when their records say something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED

EXAMPLES = {
    ("G09", "08_faster"): [
        ({}, CONDITION),
        ({"full.memory": 0.41}, CORRECTED),
        ({"full.arithmetic": 0.95}, CORRECTED),
        ({"full.arithmetic": 0.45}, HOLDS),
        ({"full.arithmetic": 0.8}, None),
    ],
    ("G17", "08_faster"): [({}, NOT_TESTED), ({"rungs.same": False}, None), ({"kept.less": 0.05}, None)],
}
