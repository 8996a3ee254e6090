"""Lesson 15: Is it yours, and is it any good?

After it, the learner can fine-tune on data of your own, and say honestly whether it helped.
"""

# Imported here because it registers itself.
from . import exercises as exercises
