"""What lesson 08's verdicts must become when their records say something else: changes to the baseline, verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED

EXAMPLES = {
    ("G02", "08_qlora_7b"): [
        ({}, HOLDS),
        ({"copy.least": 12.9}, CORRECTED),
        ({"copy.most": 16.1}, CORRECTED),
        ({"seven.file_r16": 300.0}, None),
    ],
    ("G03", "08_qlora_7b"): [
        ({}, CONDITION),
        ({"state.most": 79.0}, HOLDS),
        ({"state.most": 79.0, "state.least": 39.0}, CONDITION),
        ({"state.least": 30.0}, CORRECTED),
        ({"state.most": 96.0}, CORRECTED),
        ({"needs.full_bf16": 40.0}, None),
        ({"needs.full_fp32": 91.0}, None),
    ],
    ("G06", "08_qlora_7b"): [
        ({}, CONDITION),
        ({"room.qlora": 0.9}, CORRECTED),
        ({"room.qlora": 2.0}, None),
        ({"room.full": 1.0}, HOLDS),
        ({"room.lora": 0.9}, None),
        ({"room.hf": 1.4}, None),
        ({"longest.rtx_4090": 4000}, None),
        ({"longest.hf_rtx_4090": 2000}, None),
        ({"published.low": 0.31}, None),
        ({"published.high": 0.31}, None),
    ],
    ("G17", "08_qlora_7b"): [
        ({}, NOT_TESTED),
        ({"cpu_7b.peak": 8.1}, None),
        ({"cpu_7b.first": 0.01}, None),
        ({"cpu_7b.last": 13.0}, None),
        ({"cpu_7b.hours_per_million": 23.0}, None),
        ({"room.qlora": 0.9}, None),
    ],
}
