"""What the verdicts of lesson 04 and its side trip must become when their records say something else."""

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
    ("G10", "04_merging_in_bf16"): [
        ({}, CONDITION),
        ({"merge.error": 0.009}, HOLDS),
        ({"merge.error_8x": 0.02}, None),
        ({"merge.loss_apart_bf16": 3.8}, CORRECTED),
        ({"merge.loss_merged_bf16": 4.1}, CORRECTED),
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
