"""Lesson 00: What can my machine do?

After it, the learner can say what fits on which card, and why.
"""

# Imported here because they register themselves.
from . import exercises as exercises
