"""LoRA Lessons: run every claim about LoRA, train A×B on a real model, ship your adapter.

From bottom to top, and imports point down only: `lowrank`, `lora`, `adapter`, `quant` (the ideas); `models`, `tasks`,
`mixing` (what they act on); `training`, `evaluation`, `memory`, `export` (what happens, and what it takes); `course` (the
frame that a notebook imports); `run` (what executes notebooks); `experiments` (what is measured once and quoted);
`lessons` (a room for every lesson); `cli`.

Begin with `lowrank` and `lora`, the two ideas. The README has a map of all rooms.
"""

__version__ = "0.1.0"
