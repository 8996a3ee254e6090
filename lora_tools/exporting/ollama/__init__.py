"""A folder for Ollama: model files, Modelfiles, and a check that Ollama would send what the model was trained on.

Ollama does not run a model's own chat template (Jinja). It fills in the TEMPLATE of the Modelfile, in Go's template
language, with SYSTEM and the messages. A model that answers well in Python and badly in Ollama most often gets another
text there. So the Go template is chosen by what it renders (chatform.py), and the folder is checked (checks.py).

Two ways in: `Modelfile` has the adapter folded into the weights, and works in every version. `Modelfile.adapter` keeps
base and adapter apart (FROM and ADAPTER). One report (mellea#1651, 2026-09-18; not measured here) says that
`ollama create` refuses ADAPTER from v0.34.1 on (ollama#14969, merged 2026-09-15), while models made before still run;
earlier versions take one adapter.

Neither Modelfile has RENDERER and PARSER, Ollama's own code for the tool calls of some families. Where the base's chat
template writes tools, `write` says so (ollama#17636, ollama#15810; not run here).
"""

from .checks import check
from .folder import Created, Written, check_name, try_create, write

__all__ = ["Created", "Written", "check", "check_name", "try_create", "write"]
