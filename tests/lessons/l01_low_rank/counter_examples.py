"""What lesson 01's verdict must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G07", "01_low_rank"): [
        ({}, CORRECTED),
        ({"perplexity.break_even_factor": 1.1}, HOLDS),
        ({"perplexity.break_even_factor": 1.9}, None),
        ({"kinds.survive_weights": 0.6}, CONDITION),
        ({"spectrum.share": 0.3}, CONDITION),
        ({"spectrum.noise_share": 1.3}, CONDITION),
    ],
}
