"""Lesson 07: Does the 4-bit base cost quality?

After it, the learner can train with QLoRA and account for every byte.
"""

# Imported here because they register themselves.
from . import exercises as exercises
