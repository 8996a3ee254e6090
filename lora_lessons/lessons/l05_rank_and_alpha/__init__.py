"""Lesson 05: Which rank? Which alpha?

After it, the learner can choose r and alpha on evidence.
"""

from . import exercises as exercises
