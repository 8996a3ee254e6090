"""Lesson 01: How much of a matrix can you throw away?

After it, the learner can cut a matrix to rank r and say what is lost.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import widget as widget
