"""What lesson 05's verdict must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, HOLDS

EXAMPLES = {
    ("G01", "05_rank_and_alpha"): [
        ({}, CONDITION),
        ({"apart.alpha_16": 1}, None),
        ({"apart.alpha_2r": 0}, None),
        ({"own_rate.low": -0.01}, None),
        ({"own_rate.behind": 0.2}, None),
        ({"recipe.behind": 0.06}, None),
        ({"recipe.seeds": 0.01}, None),
        ({"targets.all_below_qv": False}, HOLDS),
    ],
}
