"""Lesson 12: Where does the time go?

After it, the learner can find what makes training slow, and mend it.
"""

# Imported here because they register themselves.
from . import exercises as exercises
