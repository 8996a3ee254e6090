"""Lesson 10: Does it still work outside Python?"""

from . import exercises as exercises
from . import verdicts as verdicts
