"""Cells run in a real kernel, as a notebook runs them: what they print, what they show, and how they end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from lora_lessons.run.kernel import private_sockets

# Seconds for a kernel to start, and for a cell to end, which may import torch and start kernels of its own.
PATIENCE = 600
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def a_kernel(folder: Path, **environment: str) -> Iterator[Kernel]:
    """This interpreter's kernel, started in `folder`; it finds the course and what the tests share."""
    specs = KernelSpecManager(kernel_dirs=[])
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    with private_sockets() as sockets:
        manager = KernelManager(kernel_name="python3", kernel_spec_manager=specs, **sockets)
        manager.start_kernel(cwd=str(folder), env=os.environ | {"PYTHONPATH": paths} | environment)
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            yield Kernel(manager, client)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


class Kernel:
    """A running kernel."""

    def __init__(self, manager: KernelManager, client: Any) -> None:
        self.manager, self.client = manager, client

    def run(
        self, code: str, interrupt_when: Callable[[], bool] | None = None, updates: bool = False
    ) -> list[dict[str, Any]]:
        """Run a cell; return the contents of its outputs, each with its `msg_type`. May press the stop button once.

        With updates=True what is shown anew in its place is listed as well.
        """
        asked, outputs, deadline = self.client.execute(code), [], time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline, f"the cell did not end; so far {outputs}"
            if interrupt_when is not None and interrupt_when():
                self.manager.interrupt_kernel()
                interrupt_when = None
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except Exception as nothing_yet:
                assert type(nothing_yet).__name__ == "Empty", nothing_yet
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return outputs
            again = ("update_display_data",) if updates else ()
            if kind in ("stream", "display_data", "execute_result", "error", *again):
                outputs.append({"msg_type": kind, **content})
