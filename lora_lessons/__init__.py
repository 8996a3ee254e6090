"""LoRA Lessons: run every claim about LoRA, train A×B on a real model, ship your adapter.

Begin with `lowrank` and `lora`, the two ideas. The README has a map of all rooms, from the bottom floor to the top.
"""

__version__ = "0.1.0"
