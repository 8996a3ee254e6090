from lora_lessons.planning.fit import plan_on as plan

from .checking import check as check
from .exporting.gguf import export as export
from .inspection import inspect as inspect
from .symptoms import search as symptom

__all__ = ["check", "export", "inspect", "plan", "symptom"]
