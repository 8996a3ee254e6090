"""Adapter and base as GGUF, the one file that llama.cpp and Ollama load.

Three things change on the way: the names (model.layers.0.self_attn.q_proj → blk.0.attn_q), the order of the rows of
q and k in Llama's family (see `permuted`), and √r of rsLoRA, which llama.cpp does not know and alpha takes in.
"""

from .file import FILE_TYPES as FILE_TYPES
from .file import read as read
from .model import check_fit as check_fit
from .model import checked_base as checked_base
from .model import quantize as quantize
from .model import why_not_written as why_not_written
from .model import write_adapter as write_adapter
from .model import write_base as write_base
from .model import write_merged as write_merged
from .names import EXPORTED as EXPORTED
from .names import gguf_alpha as gguf_alpha
from .names import importance as importance
from .names import permuted as permuted
from .names import why_not_exported as why_not_exported
from .source import SourceModel as SourceModel
from .source import adapter_and_base as adapter_and_base
from .source import findings as findings
from .source import named_base as named_base
from .source import open_base as open_base
from .source import place_of as place_of
from .together import export as export
