"""Lesson 00: What is LoRA, in five minutes?

After it, the learner can teach a model a new voice, and say what was trained and how large it is.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import widget as widget
