"""Lesson 06: What do 4 bits lose?

After it, the learner can write NF4 and measure its error.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import widget as widget
