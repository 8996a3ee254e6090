"""LoRA Lessons: run every claim about LoRA, train A×B on a real model, ship your adapter.

What an engineer needs comes by name, and each is imported when it is first asked for:

    import lora_lessons as ll

    ll.plan("Qwen2.5-7B", "RTX 4090", r=16, seq=2048).fits    does it fit, and if not, what then?
    ll.check("train.jsonl").problems                          what is wrong with a training file?
    ll.attach(model, r=8, lora_alpha=16)                      LoRALinear beside every Linear; merge, detach
    ll.save_adapter(model, "mine"), ll.read_adapter("mine")   in PEFT's format, both ways
    ll.inspect("mine").findings                               what will go wrong with an adapter?
    ll.export("mine", "out")                                  GGUF files for llama.cpp

docs/api.md has them with examples. Below them lie the rooms, and imports point down only: `lora`, `lowrank`, `adapter`,
`quant` are the ideas; `models`, `tasks`, `mixing` what they act on; `training`, `evaluation`, `memory` what happens and
what it takes; `tools` what people run on their own models; `course` the frame that a notebook imports; `run` what executes
notebooks; `experiments` what is measured once and quoted; `lessons` a room for every lesson; `cli` the command.

Begin with `lowrank` and `lora`, the two ideas. CONTRIBUTING has a map of all rooms.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

# Each name, the module that has it, and what it is called there.
_HERE = {
    "plan": ("tools.planning", "plan_on"),
    "check": ("tools.checking", "check"),
    "inspect": ("tools.inspection", "inspect"),
    "LoRALinear": ("lora", "LoRALinear"),
    "attach": ("lora", "attach"),
    "merge": ("lora", "merge"),
    "detach": ("lora", "detach"),
    "read_adapter": ("adapter", "read_adapter"),
    "load_adapter": ("adapter", "load_adapter"),
    "save_adapter": ("adapter", "save_adapter"),
    "export": ("tools.export.gguf", "export"),
}
__all__ = sorted([*_HERE, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HERE:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}: it has {', '.join(_HERE)}, and its rooms."
        )
    module, there = _HERE[name]
    return getattr(import_module(f"{__name__}.{module}"), there)


def __dir__() -> list[str]:
    return __all__
