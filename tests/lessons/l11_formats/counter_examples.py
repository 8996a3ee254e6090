"""What lesson 11's verdict must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import NOT_TESTED

EXAMPLES = {
    ("G18", "11_formats"): [({}, NOT_TESTED), ({"formats.loaded": 3}, None), ({"formats.exl2": "ok"}, None)],
}
