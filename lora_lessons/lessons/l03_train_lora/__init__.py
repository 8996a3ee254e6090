"""Lesson 03: Can B·A do what full fine-tuning does?

After it, the learner can train a model both ways and compare them fairly.
"""

# Imported here because they register themselves.
from . import exercises as exercises
