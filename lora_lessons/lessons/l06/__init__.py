"""Lesson 06: What do 4 bits lose?

After it, the learner can write NF4 and measure its error.
"""

from ...by_hand import from_bytes as from_bytes
from ...by_hand import to_codes as to_codes

# Imported here because it registers itself.
from . import checks as checks
from .pictures import one_block as one_block
from .widget import sixteen_marks as sixteen_marks
