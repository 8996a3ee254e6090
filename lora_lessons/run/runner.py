"""The main job: execute lessons with papermill, watch them, and keep what they measured.

A lesson runs in a kernel of its own, in this interpreter. A lesson that fails is reported, and the next one runs.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..course.lesson import lessons as course_lessons
from ..course.records import records_of
from ..files import whole_file
from ..machine import kernel_environment
from .baselines import compare, read_baseline

if TYPE_CHECKING:
    from nbformat import NotebookNode
from .result import DEVIATES, FAILED, INTERRUPTED, OK, CellError, LessonResult


def run(
    lessons: Sequence[Path],
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    out: Path = Path("course-report"),
    *,
    judge: bool = True,
    fresh: bool = False,
) -> list[LessonResult]:
    """Execute `lessons` one after another into `out`: executed notebooks, report.html and report.json.

    `parameters` go into each lesson's parameters cell; with any given, or judge=False, records are not held against
    the baselines; with fresh=True no finished training run is reused from the cache. The report is written anew after
    every lesson. Raises ValueError for a parameter that no lesson has, and KeyboardInterrupt (after writing what there
    is) when the run is interrupted.
    """
    from .report import write_report

    given, out = dict(parameters or {}), Path(out).resolve()
    environment = _environment(out) | ({"LORA_LESSONS_FRESH": "1"} if fresh else {})
    check_parameters(lessons, given)
    out.mkdir(parents=True, exist_ok=True)
    results: list[LessonResult] = []
    for number, lesson in enumerate(lessons, 1):
        title = f"{number}/{len(lessons)} {lesson.stem}"
        result = run_one(lesson, {"profile": profile, "seed": 0} | given, out, environment, title)
        if judge and not given and result.status == OK:
            result.baseline = read_baseline(result.lesson, profile)
            result.deviations = compare(result.records, result.baseline) if result.baseline else []
            if any(not deviation.warning for deviation in result.deviations):
                result.status = DEVIATES
        results.append(result)
        write_report(results, out, profile, given, planned=[path.stem for path in lessons])
        print(result, file=sys.stderr, flush=True)
        if result.status == INTERRUPTED:
            raise KeyboardInterrupt
    return results


def find_lessons(names: Sequence[str]) -> list[Path]:
    """The notebooks that `names` mean (all of the course's for none): a stem, a number such as 3 or 03, or a path.

    Raises FileNotFoundError naming the nearest lesson.
    """
    if not names:
        return course_lessons()
    return [_find(name) for name in names]


def _find(name: str) -> Path:
    if Path(name).suffix == ".ipynb":
        if Path(name).is_file():
            return Path(name).resolve()
        raise FileNotFoundError(f"{name} does not exist: give a notebook's path, a lesson's name, or its number.")
    known = {path.stem: path for path in course_lessons()}
    hits = [stem for stem in known if stem == name or (name.isdigit() and int(stem[:2]) == int(name))]
    if hits:
        return known[hits[0]]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}?" if near else f"The lessons are {', '.join(known) or 'not here yet'}."
    raise FileNotFoundError(f"no lesson is called {name!r}. {hint}")


def check_parameters(lessons: Sequence[Path], parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for a parameter that none of `lessons` has in its parameters cell, naming those that exist."""
    if not parameters:
        return
    exist = {name: None for lesson in lessons for name in _parameters_of(_readable(lesson))}
    for name in parameters:
        if name not in exist:
            which = lessons[0].stem if len(lessons) == 1 else "any of these lessons"
            raise ValueError(f"{name!r} is not a parameter of {which}; there are: {', '.join(exist) or 'none'}.")


def _readable(lesson: Path) -> NotebookNode | None:
    try:
        return read_notebook(lesson)
    except ValueError:
        return None  # its own run reports it


def read_notebook(path: Path) -> NotebookNode:
    """A notebook as an nbformat 4 node. Raises ValueError with one sentence when the file is not one."""
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise ValueError(f"{path.name} is not a readable notebook ({why}).") from error


def _parameters_of(notebook: NotebookNode | None) -> dict[str, Any]:
    """The parameters in the cell tagged `parameters`, by name, as papermill reads them."""
    if notebook is None:
        return {}
    from papermill.inspection import _infer_parameters
    from papermill.iorw import load_notebook_node

    return {p.name: p.default for p in _infer_parameters(load_notebook_node(notebook), "python3", "python")}


def run_one(
    lesson: Path, parameters: Mapping[str, Any], out: Path, environment: dict[str, str] | None = None, title: str = "",
    *, progress: bool = True,
) -> LessonResult:  # fmt: skip
    """Execute one notebook with those of `parameters` that it has, and keep it in `out` as executed.

    What happens in the notebook is told by the result. Raises OSError where `out` cannot be written.
    """
    started, peak = time.perf_counter(), _Peak()
    environment = environment or _environment(out)
    result = LessonResult(lesson.stem, OK, 0.0, 0, 0)
    try:
        notebook = read_notebook(lesson)
        result.cells = sum(cell.cell_type == "code" for cell in notebook.cells)
        has = _parameters_of(notebook)
        known = {name: value for name, value in parameters.items() if name in has}
        with peak.watching():
            bar = {"desc": title, "file": sys.stderr, "dynamic_ncols": True} if progress else None
            _execute(result, notebook, known, lesson.parent.resolve(), environment, peak, bar)
    except KeyboardInterrupt:
        result.status = INTERRUPTED
    except Exception as error:  # whatever it is, the lessons after this one still run
        result.status = FAILED
        result.error = result.error or CellError(
            0, "", type(error).__name__, str(error), traceback.format_exc(chain=False)
        )
    result.seconds, result.peak_ram_bytes = time.perf_counter() - started, peak.bytes
    if result.notebook is not None:
        import nbformat

        result.records = records_of(result.notebook)
        with whole_file(out / f"{lesson.stem}.ipynb") as temporary:
            nbformat.write(result.notebook, temporary)
    return result


def _execute(
    result: LessonResult,
    notebook: NotebookNode,
    parameters: dict[str, Any],
    folder: Path,
    environment: dict[str, str],
    peak: _Peak,
    bar: dict[str, Any] | None,
) -> None:
    """Run one notebook, filling `result.notebook` as it goes and `result.error` when it fails."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    _register_engine()
    at: list[int] = []

    def on_cell(client: Any, cell: NotebookNode, cell_index: int) -> None:
        result.notebook = client.nb
        at[:] = [cell_index]
        peak.pid = getattr(client.km.provisioner, "pid", None)
        if (shown := client.nb_man.pbar) is not None:
            shown.set_postfix_str(_first_line(cell.source)[:40], refresh=sys.stderr.isatty())

    if bar is not None and not sys.stderr.isatty():
        bar |= {"mininterval": 20, "ascii": True}
    try:
        papermill.execute_notebook(
            notebook, None, parameters, engine_name=_ENGINE, kernel_name="python3", language="python", cwd=folder,
            progress_bar=bar or False, environment=environment, on_cell=on_cell,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        result.status = FAILED
        result.error = _cell_error(
            result.notebook, error.cell_index, error.ename, error.evalue, "\n".join(error.traceback or [str(error)])
        )
    except DeadKernelError:
        result.status = FAILED
        why = "the kernel died: it ran out of memory, was killed, or a library crashed. Close other programs, and run this lesson alone."
        result.error = _cell_error(result.notebook, at[0] if at else -1, "DeadKernelError", why, "")
    finally:
        if result.notebook is not None:
            from papermill.execute import remove_error_markers

            remove_error_markers(result.notebook)  # the report says where it failed; a shifted cell would not help


def _cell_error(notebook: NotebookNode | None, index: int, name: str, message: str, trace: str) -> CellError:
    """The failure at `index` of the executed notebook, counted as in the lesson (papermill injects a cell)."""
    if notebook is None or index < 0:
        return CellError(0, "", name, message, plain(trace))
    cells = [cell for cell in notebook.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    injected = sum("injected-parameters" in cell.metadata.get("tags", []) for cell in cells[:index])
    return CellError(index + 1 - injected, _first_line(cells[index].source), name, plain(message), plain(trace))


def _first_line(source: str) -> str:
    return next((line.strip() for line in source.splitlines() if line.strip()), "")


def plain(text: str) -> str:
    """`text` without the colour codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)


def _environment(out: Path) -> dict[str, str]:
    """The kernel's environment: a run leaves the learner's own progress alone and does not fight over cores."""
    given = kernel_environment()
    ours = {"LORA_LESSONS_PROGRESS": str(out / "progress.json"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    package = str(Path(__file__).resolve().parents[2])  # found also where the package is not installed, as in Colab
    path = os.pathsep.join(dict.fromkeys([package, *filter(None, given.get("PYTHONPATH", "").split(os.pathsep))]))
    return ours | given | {"PYTHONPATH": path}


class _Peak:
    """The largest resident size of a process tree, sampled ten times a second in a thread."""

    def __init__(self) -> None:
        self.bytes, self.pid = 0, None  # type: int, int | None

    @contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(0.1):
                self.bytes = max(self.bytes, _tree_bytes(self.pid))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _tree_bytes(pid: int | None) -> int:
    import psutil

    if pid is None:
        return 0
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue  # it ended between the listing and the look
    except psutil.Error:
        pass
    return total


_ENGINE = "lora-lessons"


def _register_engine() -> None:
    """Teach papermill an engine that always uses this interpreter's kernel, whatever kernelspecs are installed."""
    import zmq
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class ThisInterpreter(NBClientEngine):
        @classmethod
        def execute_managed_notebook(  # type: ignore[no-untyped-def]
            cls, nb_man, kernel_name, *, environment, on_cell, start_timeout=60, **_
        ):
            specs = KernelSpecManager(kernel_dirs=[])  # none but ipykernel's own, which names sys.executable
            manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
            if manager.has_trait("transport_encryption") and zmq.has("curve"):
                manager.transport_encryption = "auto"  # else ipykernel warns, and others on the machine could listen
            client = PapermillNotebookClient(
                nb_man, km=manager, kernel_name="python3", timeout=None, startup_timeout=start_timeout,
                shutdown_kernel="immediate",  # at Ctrl-C a kernel asked politely complains at length
                on_cell_start=lambda cell, cell_index: on_cell(client, cell, cell_index),
            )  # fmt: skip
            try:
                return client.execute(env=environment, cleanup_kc=True)
            finally:
                if client.km is not None and client.km.has_kernel:  # interrupted before its own clean-up
                    client._cleanup_kernel()

    papermill_engines.register(_ENGINE, ThisInterpreter)
