"""What lesson 07's verdicts must become when their records say something else: changes to the baseline, verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G14", "07_qlora"): [
        ({}, CORRECTED),
        ({"byhand.shrinks": 4.0}, None),
        ({"byhand.shrinks": 8.1}, None),
        ({"kept.ours": 4}, None),
        ({"kept.naive": 0}, None),
        ({"library.same": False}, None),
    ],
    ("G16", "07_qlora"): [
        ({}, CONDITION),
        ({"control.nf4_double_apart": True}, CORRECTED),
        ({"cost.nf4_double_apart": False}, HOLDS),
        ({"cost.nf4_double_apart": False, "control.nf4_double_apart": True}, None),
        ({"cost.nf4_double": 0.3}, None),
        ({"cost.nf4_double": 0.16}, None),
        ({"cost.nf4_double": 0.005}, None),
        ({"cost.before": 0.1}, None),
        ({"cost.fp4": 0.1}, None),
        ({"control.nf4_double": -0.2}, None),
    ],
}
