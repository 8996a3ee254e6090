"""What the verdict of 09_many_adapters must become when one of its records says something else: changes to the
baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G13", "09_many_adapters"): [
        ({}, CONDITION),
        ({"memory.hundred_mb": 20_000.0}, CORRECTED),
        ({"memory.merged_gb": 0.5}, CORRECTED),
        ({"same.gathered": False}, None),
        ({"llama.right": False}, None),
        ({"llama.same_share": False}, None),
        ({"llama.different_share": True}, HOLDS),
    ],
}
