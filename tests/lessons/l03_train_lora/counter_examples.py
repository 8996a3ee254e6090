"""What the verdicts of lesson 03 must become when their records say something else."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G01", "03_train_lora"): [({}, HOLDS), ({"base.unchanged": False}, CORRECTED)],
    ("G02", "03_train_lora"): [
        ({}, HOLDS),
        ({"copy_gb.llama": 12.9}, CONDITION),
        ({"copy_gb.mistral": 15.6}, CONDITION),
        ({"copy_gb.qwen2.5": 28.0}, CONDITION),
        ({"copy_gb.llama": 27.0, "copy_gb.mistral": 29.0, "copy_gb.qwen2.5": 30.5}, CORRECTED),
    ],
    ("G07", "03_train_lora"): [
        ({}, CORRECTED),
        ({"change.rank90": 0.04}, HOLDS),
        ({"change.rank90": 0.6}, None),
        ({"change.rank90_noise": 0.3}, None),
        ({"change.left_8": 70.0}, None),
        ({"change.energy_8": 0.7}, None),
    ],
    ("G09", "03_train_lora"): [
        ({}, CONDITION),
        ({"memory.ratio": 0.41}, CORRECTED),
        ({"compute.ratio": 0.95}, CORRECTED),
        ({"compute.ratio": 0.45}, HOLDS),
    ],
}
