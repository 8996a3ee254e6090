"""Lesson 16: A hundred adapters on one base?

After it, the learner can serve many adapters at once, and say when to merge instead.
"""

# Imported here because they register themselves.
from . import checks as checks
from . import widget as widget
