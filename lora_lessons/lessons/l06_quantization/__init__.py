"""Lesson 06: What do 4 bits lose?"""

from . import exercises as exercises
from . import verdicts as verdicts
