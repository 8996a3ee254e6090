"""What lesson 09's verdicts must become when their records say something else: changes to the baseline, verdict."""

from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS

TASKS = ("persona", "plain_language", "code_style", "strict_json")

EXAMPLES = {
    ("G10", "09_merging"): [
        ({}, CONDITION),
        ({"survives.merged.kept": 60.0}, CORRECTED),
        ({"survives.unmerged.kept": 100.0}, CORRECTED),
        ({"left.bf16": 80.0}, CORRECTED),
        ({"survives.into_nf4.kept": 30.0}, HOLDS),
        ({"survives.into_nf4.kept": 30.0, "survives.base.kept": 20.0}, CONDITION),
        ({"survives.then_nf4.kept": 15.0}, None),
        ({"path.into_4_bits.kl": 0.01}, None),
        ({"left.nf4": 30.0}, None),
        ({"left.merged_first": 70.0}, None),
    ],
    ("G12", "09_adapters"): [
        ({}, CONDITION),
        *(({f"gain.{task}": 0.05}, None) for task in TASKS),
        *(({f"kept.{task}": 0.0}, None) for task in TASKS),
        *(({f"told.{task}": 95.0}, None) for task in TASKS),
        ({f"gain.{task}": 0.05 for task in TASKS}, CORRECTED),
    ],
}
