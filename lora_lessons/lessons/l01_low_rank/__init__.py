"""Lesson 01: How much of a matrix can you throw away?"""

from . import exercises as exercises
from . import verdicts as verdicts
