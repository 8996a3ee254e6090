from lora_tools.checking import check as check
from lora_tools.exporting.gguf import export as export
from lora_tools.inspection import inspect as inspect

from .adapter import load_adapter as load_adapter
from .adapter import read_adapter as read_adapter
from .adapter import save_adapter as save_adapter
from .lora import LoRALinear as LoRALinear
from .lora import attach as attach
from .lora import detach as detach
from .lora import merge as merge
from .planning.fit import plan_on as plan

__version__: str

__all__ = [
    "LoRALinear",
    "attach",
    "check",
    "detach",
    "export",
    "inspect",
    "load_adapter",
    "merge",
    "plan",
    "read_adapter",
    "save_adapter",
]
