"""Lesson 02: What is the smallest update that could work?

After it, the learner can write the LoRA layer and count what it trains.
"""

# Imported here because they register themselves.
from . import check_my_lora as check_my_lora
from . import widget as widget
