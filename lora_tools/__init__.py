"""What people run on models and files of their own; on the command line, `lora-lessons` has a verb for each.

    import lora_tools

    lora_tools.plan("Qwen2.5-7B", "RTX 4090", r=16, seq=2048).fits    does it fit, and if not, what then?
    lora_tools.check("train.jsonl").problems                          what is wrong with a training file?
    lora_tools.inspect("mine").findings                               what will go wrong with an adapter?
    lora_tools.symptom("loss falls, answers unchanged")               what may be behind what is seen
    lora_tools.export("mine", "out")                                  GGUF files for llama.cpp

docs/api.md has them with examples; each is imported when it is first asked for. All of this stands on `lora_lessons`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

# Each name, the module that has it, and what it is called there.
_HERE = {
    "plan": ("lora_lessons.planning", "plan_on"),
    "check": (".checking", "check"),
    "inspect": (".inspection", "inspect"),
    "symptom": (".symptoms", "search"),
    "export": (".exporting.gguf", "export"),
}
__all__ = sorted(_HERE)


def __getattr__(name: str) -> Any:
    if name in _HERE:
        module, there = _HERE[name]
        return getattr(import_module(module, __name__), there)
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: it has {', '.join(_HERE)}, and its rooms.")


def __dir__() -> list[str]:
    return __all__
