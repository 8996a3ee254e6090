"""Lesson 04: Is the library doing the same thing?

After it, the learner can use PEFT, and catch its silent mistakes.
"""

# Imported here because they register themselves.
from . import exercises as exercises
