"""Lesson 08: Will a real 7B train on my card?

After it, the learner can train a 7B, or say beforehand why not.
"""

# Imported here because they register themselves.
from . import bill as bill
