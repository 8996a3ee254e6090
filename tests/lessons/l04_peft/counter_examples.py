"""What the verdicts of lesson 04 must become when their records say something else."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G10", "04_peft"): [
        ({}, CONDITION),
        ({"merge.loss_apart": 3.9}, CORRECTED),
        ({"merge.loss_merged": 4.0}, CORRECTED),
        ({"merge.close": False}, CORRECTED),
        ({"apart.restored": False}, None),
        ({"merge.restored": True}, HOLDS),
    ],
    ("G11", "04_peft"): [
        ({}, CONDITION),
        ({"size.share_most": 5.1}, CORRECTED),
        ({"adapter.moves": False}, CORRECTED),
        ({"size.in_band_16": 0}, None),
        ({"size.in_band_32": 27}, None),
        ({"size.settings": 14}, None),
        ({"size.in_band_16": 27, "size.in_band_32": 27}, HOLDS),
    ],
}
