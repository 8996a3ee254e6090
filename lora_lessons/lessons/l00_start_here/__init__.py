"""Lesson 00: What can my machine do?

After it, the learner can teach a model a new voice, and say what fits on which card.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import widget as widget
