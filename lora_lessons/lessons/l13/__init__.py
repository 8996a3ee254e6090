"""Lesson 13: Can you teach a preference? A reward?

After it, the learner can train on pairs with DPO or on a reward, and say what it costs.
"""

# Imported here because they register themselves.
from . import checks as checks
from . import widget as widget
