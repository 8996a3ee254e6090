"""Lesson 07: Does the 4-bit base cost quality?

After it, the learner can train with QLoRA and account for every byte.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import verdicts as verdicts
from .by_hand import MyQLoRA as MyQLoRA
from .by_hand import PackedProduct as PackedProduct
from .by_hand import my_qlora as my_qlora
from .illustration import one_step as one_step
