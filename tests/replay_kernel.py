"""A kernel that runs nothing: it shows again what each cell showed when the lesson ran earlier in the same `make test`.

So nbval compares the stored outputs with those of the papermill run, and no lesson is executed twice. The kernel is not
told which notebook it serves: it follows the cells that it is asked for, through every notebook that was run.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

RAN = "LORA_LESSONS_REPORT"  # the folder with the notebooks as executed


def install(folder: Path) -> dict[str, str]:
    """Write a kernelspec named "replay" into `folder`; return the environment in which Jupyter finds it."""
    spec = {
        "argv": [sys.executable, __file__, "-f", "{connection_file}"],
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


class Replay(Kernel):
    """Answers a cell with the outputs that it had."""

    implementation, implementation_version, banner = "replay", "1", "replay"
    language_info = {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.books, self.asked = executed(Path(os.environ[RAN])), 0

    async def do_execute(self, code: str, silent: bool, *_: Any, **__: Any) -> dict[str, Any]:
        number, self.asked = self.asked, self.asked + 1
        self.books = [book for book in self.books if number < len(book) and book[number].source == code]
        if not self.books:
            why = {"ename": "NotRun", "evalue": "no lesson with these cells ran in this session", "traceback": []}
            self.send_response(self.iopub_socket, "error", why)
            return {"status": "error", "execution_count": self.execution_count, **why}
        for output in self.books[0][number].outputs:
            said = {key: value for key, value in output.items() if key != "output_type"}
            self.send_response(self.iopub_socket, output.output_type, said)
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=Replay)
