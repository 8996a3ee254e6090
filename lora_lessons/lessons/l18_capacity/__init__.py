"""Lesson 18: How much does an adapter hold?

After it, the learner can count what an adapter stores in bits, and cut one to a smaller rank.
"""

# Imported here because they register themselves.
from . import exercises as exercises
