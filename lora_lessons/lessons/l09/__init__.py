"""Lesson 09: What can one small file change?

After it, the learner can make, mix and merge adapters.
"""

# Imported here because they register themselves.
from . import checks as checks
from . import widget as widget
from .checks import add as add
