"""What lesson 06's verdict must become when one of its records says something else: changes to the baseline,
verdict."""

from lora_lessons.course.claims import CORRECTED

EXAMPLES = {
    ("G14", "06_quantization"): [
        ({}, CORRECTED),
        ({"bits.double": 4.5}, None),
        ({"bnb.same": 68}, CORRECTED),
        ({"bnb.same": 35}, None),
        ({"bnb.as_dequantized": False}, None),
        ({"perplexity.nf4": 1.5}, None),
        ({"perplexity.int4": 1.2}, None),
        ({"apart.int4": False}, None),
        ({"control.nf4_beats_int4": False}, None),
    ],
}
