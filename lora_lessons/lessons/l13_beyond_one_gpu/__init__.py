"""Lesson 13: And 70B?

After it, the learner can spread one model over several GPUs.
"""

# Imported here because they register themselves.
from . import exercises as exercises
