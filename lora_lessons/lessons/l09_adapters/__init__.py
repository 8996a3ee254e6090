"""Lesson 09: What can one small file change?

After it, the learner can make, mix and merge adapters.
"""

# Imported here because they register themselves.
from . import exercises as exercises
from . import widget as widget
