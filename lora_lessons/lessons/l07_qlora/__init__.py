"""Lesson 07: Does the 4-bit base cost quality?"""

from . import exercises as exercises
from . import verdicts as verdicts
