"""nbval without a second run: what each cell showed when the lesson ran earlier in the same `make test`.

Here is what the stages need; `replay_kernel.py` is the kernel. It stands apart because importing ipykernel changes how
widgets talk in the process that imports it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat

RAN = "LORA_LESSONS_REPORT"  # the folder with the notebooks as executed
KERNEL = Path(__file__).with_name("replay_kernel.py")


def with_tests() -> str:
    """PYTHONPATH with this folder first, where pytest finds the plugin `nbval_compares`
    before it reads any settings."""
    return os.pathsep.join(filter(None, [str(KERNEL.parent), os.environ.get("PYTHONPATH", "")]))


def install(folder: Path) -> dict[str, str]:
    """Write a kernelspec named "replay" into `folder`; return the environment in which Jupyter finds it."""
    spec = {
        "argv": [sys.executable, str(KERNEL), "-f", "{connection_file}"],
        "display_name": "replay",
        "language": "python",
    }
    home = folder / "kernels" / "replay"
    home.mkdir(parents=True, exist_ok=True)
    (home / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return {"JUPYTER_PATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("JUPYTER_PATH", "")]))}


def executed(folder: Path) -> list[list[Any]]:
    """The code cells of every executed notebook below `folder`, without the one that papermill puts in."""
    books = (nbformat.read(path, as_version=4) for path in sorted(folder.rglob("[0-9][0-9]_*.ipynb")))
    mine = ((c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", [])) for book in books)
    return [[cell for cell in cells if cell.cell_type == "code"] for cells in mine]
