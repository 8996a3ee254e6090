"""Lesson 08: Will a real 7B train on my card?"""

from . import exercises as exercises
from . import verdicts as verdicts
