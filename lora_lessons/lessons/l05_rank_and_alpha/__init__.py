"""Lesson 05: Which rank? Which alpha?

After it, the learner can choose r and alpha on evidence.
"""

# Imported here because they register themselves.
from . import widget as widget
