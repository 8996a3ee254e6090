"""Lesson 11: GGUF, GPTQ, AWQ or EXL2?

After it, the learner can choose a format and export to it.
"""

# Imported here because they register themselves.
from . import exercises as exercises
