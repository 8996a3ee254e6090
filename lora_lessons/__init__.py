"""LoRA Lessons: run every claim about LoRA, train A×B on a real model, ship your adapter.

What an engineer needs to use the ideas in code comes by name, and each is imported when it is first asked for:

    import lora_lessons as ll

    ll.attach(model, r=8, lora_alpha=16)                      LoRALinear beside every Linear; merge, detach
    ll.train(model, examples, ll.training.Settings(steps=24)) the loop of every lesson
    ll.evaluate(model, held_out)                              nats per token of what was held out
    ll.save_adapter(model, "mine"), ll.read_adapter("mine")   in PEFT's format, both ways
    ll.predict_memory("Qwen2.5-7B", ll.memory.Job("qlora"))   the ledger of a training

docs/api.md has them with examples. What people run on models and files of their own is `lora_tools`. Here lie the
rooms, each to be had by name as well (`ll.lora`), and imports point down only: `lora`, `lowrank`, `adapter`, `quant`
are the ideas; `models`, `tasks`, `mixing` what they act on; `training`, `evaluation`, `memory` what happens and what it
takes, `planning` what fits on which card; `course` the frame that a notebook imports; `run` what executes notebooks;
`experiments` what is measured once and quoted; `lessons` a room for every lesson.

Begin with `lowrank` and `lora`, the two ideas. docs/house.md has a map of all rooms.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.4.0"

# Each name, the module that has it, and what it is called there.
_HERE = {
    "LoRALinear": ("lora", "LoRALinear"),
    "attach": ("lora", "attach"),
    "merge": ("lora", "merge"),
    "detach": ("lora", "detach"),
    "save_adapter": ("adapter", "save_adapter"),
    "load_adapter": ("adapter", "load_adapter"),
    "read_adapter": ("adapter", "read_adapter"),
    "load": ("models", "load"),
    "train": ("training", "train"),
    "evaluate": ("evaluation", "held_out_loss"),
    "predict_memory": ("memory", "predict"),
}
__all__ = sorted([*_HERE, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HERE:
        module, there = _HERE[name]
        return getattr(import_module(f"{__name__}.{module}"), there)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has {', '.join(_HERE)}, and its rooms.")


def __dir__() -> list[str]:
    return __all__
