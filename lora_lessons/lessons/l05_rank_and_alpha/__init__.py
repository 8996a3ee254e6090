"""Lesson 05: Which rank? Which alpha?"""

from . import exercises as exercises
