"""What lesson 02's verdicts must become when their records say something else: changes to the baseline, verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

EXAMPLES = {
    ("G01", "02_lora_layer"): [
        ({}, HOLDS),
        ({"grads.base": 1}, CORRECTED),
        ({"grads.base_step1": 1}, CORRECTED),
        ({"grads.B_step0": 209}, None),
        ({"grads.A_step1": 209}, None),
        ({"lora.layers": 211}, None),
        ({"lora.layers": 0, "grads.B_step0": 0, "grads.A_step1": 0}, None),
        ({"noop.nudged": 0.0}, None),
        ({"noop.detached": 1e-6}, None),
    ],
    ("G04", "02_lora_layer"): [
        ({}, CONDITION),
        ({"count.cut_most": 98.9}, HOLDS),
        ({"count.cut_most": 98.9, "count.cut_least": 89.0}, CORRECTED),
        ({"count.cut_least": 89.0}, CORRECTED),
        ({"count.over_99": 27}, CORRECTED),
        ({"count.settings": 24}, CORRECTED),
    ],
    ("G05", "02_lora_layer"): [
        ({}, CONDITION),
        ({"count.in_band": 0}, CORRECTED),
        ({"count.in_band": 27}, HOLDS),
        ({"count.in_band": 28}, None),
        ({"count.settings": 4}, HOLDS),
        ({"count.mistral_r8": 19_999_999}, None),
        ({"count.mistral_r8": 30_000_001}, None),
    ],
    ("G08", "02_lora_layer"): [
        ({}, CONDITION),
        ({"product.exact": False}, CORRECTED),
        ({"product.row_vectors": False}, CORRECTED),
        ({"product.ab_shape": "576×576"}, None),
        ({"product.ba_shape": "8×8"}, None),
    ],
}
