"""llama.cpp at work on a GGUF: a server on this machine alone, exact logits, its own quantization.

Each runs in a process of its own: a failed assertion in llama.cpp ends its process, and must not end a notebook's
kernel; and what it prints stays off the page. xllamacpp brings the server, llama-cpp-py-sync the C interface.
"""

from .compute import logits as logits
from .compute import quantize as quantize
from .server import Server as Server
from .server import serve as serve
