"""Lesson 00: What can my machine do?"""

from . import exercises as exercises
