"""Lesson 03: Can A·B do what full fine-tuning does?"""

from . import exercises as exercises
from . import verdicts as verdicts
