"""The kernel that a lesson runs in: this interpreter's, with a fair share of cores, memory watched; and why it died."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import scratch
from ..interrupts import first_one_asks
from ..machine import kernel_environment
from ..paths import cache_dir, package

if TYPE_CHECKING:
    from psutil import Process

ENGINE = "lora-lessons"
# Seconds for a kernel to start: a machine that does much else takes its time. One that dies is noticed at once.
PATIENCE = 300


def environment(out: Path, kernels: int = 1) -> dict[str, str]:
    """A kernel's environment: a run leaves the learner's own progress alone,
    and its `kernels` at a time share the cores."""
    given = kernel_environment(kernels)
    ours = {"LORA_LESSONS_PROGRESS": str(out / "progress.json"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    source = str(package().parent)  # where the package is not installed, too, as in Colab
    path = os.pathsep.join(dict.fromkeys([source, *filter(None, given.get("PYTHONPATH", "").split(os.pathsep))]))
    return ours | given | {"PYTHONPATH": path}


class PeakMemory:
    """The largest resident size of a process tree that two samples in a row saw, ten a second, in a thread.

    Two, because a child that was forked just now seems to hold all of its parent's memory once more.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.pid: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Sample while the block runs; `pid` may be set at any time."""
        stop = threading.Event()

        def sample() -> None:
            before = 0
            while not stop.wait(0.1):
                now = _tree_bytes(self.pid)
                self.bytes, before = max(self.bytes, min(before, now)), now

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def end(self) -> None:
        """Kill the process tree, if it is there."""
        import psutil

        for process in _tree(self.pid):
            with suppress(psutil.Error):
                process.kill()


def _tree(pid: int | None) -> list[Process]:
    """The process and all that it started; none where there is no such process."""
    import psutil

    try:
        root = psutil.Process(pid) if pid is not None else None
        return [root, *root.children(recursive=True)] if root else []
    except psutil.Error:
        return []


def _tree_bytes(pid: int | None) -> int:
    import psutil

    total = 0
    for process in _tree(pid):
        with suppress(psutil.Error):  # it ended between the listing and the look
            total += process.memory_info().rss
    return total


@contextmanager
def postponing_interrupts() -> Iterator[None]:
    """While the block runs, the first Ctrl-C waits for its end:
    a kernel that is half started would belong to nobody."""
    with first_one_asks() as asked:
        yield
    if asked():
        raise KeyboardInterrupt


@contextmanager
def private_sockets() -> Iterator[dict[str, str]]:
    """Traits of a KernelManager: sockets, and the file that names them, in a folder of this user's,
    removed after the block.

    Jupyter chooses a kernel's TCP ports before the kernel opens them. A port that another process takes in between ends
    the kernel, or lets it hang. On Windows, or where the folder's path is too long: TCP, encrypted where Jupyter can.
    """
    import zmq
    from jupyter_client.manager import KernelManager

    with scratch("kernel") as folder:
        sockets, traits = os.path.join(folder, "k"), {"connection_file": os.path.join(folder, "connection.json")}
        if os.name == "posix" and zmq.has("ipc") and len(sockets) + len("-5") <= zmq.IPC_PATH_MAX_LEN:
            traits |= {"transport": "ipc", "ip": sockets}
        elif zmq.has("curve") and "transport_encryption" in KernelManager.class_trait_names():
            traits |= {"transport_encryption": "auto"}  # else ipykernel warns, and others on the machine could listen
        yield traits


def register_engine() -> None:
    """Teach papermill an engine that always uses this interpreter's kernel, whatever kernelspecs are installed."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class Watched(PapermillNotebookClient):
        """Tells `on_display`, where there is one, what a cell shows or shows anew, while it runs."""

        on_display: Callable[[dict[str, Any]], object] | None = None

        def start_new_kernel(self, **kwargs):  # type: ignore[no-untyped-def]
            with postponing_interrupts():
                super().start_new_kernel(**kwargs)

        def process_message(self, msg, cell, cell_index):  # type: ignore[no-untyped-def]
            if self.on_display and msg["msg_type"] in ("display_data", "execute_result", "update_display_data"):
                self.on_display(msg["content"]["data"])
            return super().process_message(msg, cell, cell_index)

    class ThisInterpreter(NBClientEngine):
        @classmethod
        def execute_managed_notebook(  # type: ignore[no-untyped-def]
            cls, nb_man, kernel_name, *, environment, on_cell, on_display, start_timeout=PATIENCE, **_
        ):
            specs = KernelSpecManager(kernel_dirs=[])  # none but ipykernel's own, which names sys.executable
            with private_sockets() as sockets:
                client = Watched(
                    nb_man,
                    km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs, **sockets),
                    kernel_name="python3",
                    timeout=None,
                    startup_timeout=start_timeout,
                    # At Ctrl-C a kernel asked politely complains at length.
                    shutdown_kernel="immediate",
                    on_cell_start=lambda cell, cell_index: on_cell(client, cell, cell_index),
                )
                client.on_display = on_display
                try:
                    return client.execute(
                        # what a lesson leaves in its temporary folder goes with its kernel, however that ends
                        env=environment | {"TMPDIR": os.path.dirname(sockets["connection_file"])},
                        cleanup_kc=True,
                    )
                finally:
                    if client.km is not None and client.km.has_kernel:  # interrupted before its own clean-up
                        client._cleanup_kernel()

    papermill_engines.register(ENGINE, ThisInterpreter)


WHY = "the kernel died: it ran out of memory, was killed, or a library crashed."
# Parameters that need less memory when they are so, the mildest first.
LIGHTER = {
    "gradient_checkpointing": True,
    "batch_size": 1,
    "max_tokens": 256,
    "precision": "nf4",
}


def why_it_died(has: Collection[str], given: Mapping[str, Any], begun: float, *, fresh: bool = False) -> str:
    """The message: `has` are the lesson's parameters, `given` those of this run, `begun` its time as time.time()
    has it."""
    sentence = f"{WHY} {kept_since(begun, fresh=fresh)} Close other programs, and run this lesson alone."
    smaller = [f"-p {name} {value}" for name, value in LIGHTER.items() if name in has and given.get(name) != value]
    if not smaller:
        return sentence
    return f"{sentence} If that does not help, one of these does, and trains anew: {', '.join(smaller)}."


def kept_since(begun: float, *, fresh: bool = False) -> str:
    """What is kept of the training that was under way, by its newest file in the cache."""
    from ..training import CHECKPOINT, FINISHED, steps_done

    files = [file for name in (CHECKPOINT, FINISHED) for file in (cache_dir() / "runs").glob(f"*/{name}")]
    times = {file: file.stat().st_mtime for file in files if file.is_file()}
    newest = max(times, key=lambda file: times[file], default=None)
    if newest is None or times[newest] < begun:
        return "No step of a training was kept."
    again = "the same command, without --fresh," if fresh else "the same command"
    if newest.name == FINISHED:
        return f"Its training was finished and is kept: {again} reads it back."
    return f"Its training is kept up to step {steps_done(newest)}: {again} goes on from there."
