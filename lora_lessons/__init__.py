"""LoRA Lessons: run every claim about LoRA, train A×B on a real model, ship your adapter.

The modules, bottom to top: `lowrank`, `lora`, `memory`, `tape` (the ideas), `models`, `tasks` (what they act on), `jobs`
(what is to be trained), `training`, `evaluation` (what happens), `plan` (what it will take), `course` (what makes notebooks
a course), `cli`.
"""

__version__ = "0.1.0"
