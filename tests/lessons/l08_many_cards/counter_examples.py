"""What the verdict of 08_many_cards must become when its records say something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G15", "08_many_cards"): [
        ({}, CONDITION),
        ({"two.offload": 26.0}, CORRECTED),
        ({"two.plain": 25.0, "fsdp1.start": 60.0}, HOLDS),
        ({"two.plain": 25.0}, None),
        ({"fsdp1.start": 60.0}, None),
        ({"eight.plain": 26.0}, None),
        ({"card.room": 50.0}, None),
        ({"published.two_most": 26.0}, CORRECTED),
        ({"ranks.same_losses": False}, None),
    ],
}
