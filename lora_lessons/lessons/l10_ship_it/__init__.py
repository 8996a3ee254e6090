"""Lesson 10: Does it still work outside Python?

After it, the learner can ship an adapter to llama.cpp and Ollama.
"""

# Imported here because they register themselves.
from . import exercises as exercises
