from .adapter import load_adapter as load_adapter
from .adapter import read_adapter as read_adapter
from .adapter import save_adapter as save_adapter
from .evaluation import held_out_loss as evaluate
from .lora import LoRALinear as LoRALinear
from .lora import attach as attach
from .lora import detach as detach
from .lora import merge as merge
from .memory import predict as predict_memory
from .models import load as load
from .training import train as train

__version__: str

__all__ = [
    "LoRALinear",
    "attach",
    "detach",
    "evaluate",
    "load",
    "load_adapter",
    "merge",
    "predict_memory",
    "read_adapter",
    "save_adapter",
    "train",
]
