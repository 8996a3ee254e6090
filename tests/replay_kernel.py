"""A kernel that runs nothing: it shows again what each cell showed when the lesson ran.

So nbval compares the stored outputs with those of the papermill run, and no lesson is executed twice. The kernel is not
told which notebook it serves: it follows the cells that it is asked for, through every notebook that was run.
"""

import os
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel
from replay import RAN, executed


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
