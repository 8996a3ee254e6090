"""Lesson 11: GGUF, GPTQ, AWQ or EXL2?"""

from . import exercises as exercises
from . import verdicts as verdicts
