"""The runner: execute notebooks with papermill, watch them, and keep what they measured.

A lesson runs in a kernel of its own, in this interpreter. A lesson that fails is reported, and the next one runs.
"""

from __future__ import annotations

import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ..course.lesson import Beforehand
from ..course.records import MalformedRecord, records_of
from ..files import check_folder, whole_file
from ..outside import in_line
from . import kernel, side_by_side
from .baselines import compare, read_baseline
from .kernel import why_it_died
from .notebooks import check_parameters, first_line, parameters_of, read_notebook
from .notebooks import find_lessons as find_lessons
from .result import (
    DEVIATES,
    FAILED,
    INTERRUPTED,
    OK,
    REPORT,
    CellError,
    LessonResult,
    alone_in,
    earlier_results,
    together,
)

if TYPE_CHECKING:
    from nbformat import NotebookNode


def run(
    lessons: Sequence[Path],
    profile: str = "quick",
    parameters: Mapping[str, Any] | None = None,
    out: Path = Path("course-report"),
    *,
    judge: bool = True,
    fresh: bool = False,
    at_once: int = 1,
) -> list[LessonResult]:
    """Execute `lessons` into `out`, up to `at_once` at a time: executed notebooks, report.html and report.json.

    `parameters` go into each lesson's parameters cell; with any given, or judge=False, records are not held against the
    baselines; with fresh=True no finished training run is reused from the cache. The report is written anew after every
    lesson, and keeps what an earlier run into `out` found of other lessons. Raises ValueError for a parameter that no
    lesson has, or when another run is writing to `out`; FileExistsError where a notebook would be replaced that no run
    wrote; KeyboardInterrupt (after writing what there is) when the run is interrupted.
    """
    from .report import write_report

    given, out = dict(parameters or {}), Path(out).resolve()
    check_folder(out)
    _check_no_work(out, lessons)
    check_parameters(lessons, given)
    names, values, several = [path.stem for path in lessons], {"profile": profile, "seed": 0} | given, at_once > 1

    def run_lesson(lesson: Path, peak: kernel.PeakMemory) -> LessonResult:
        beside = 1 if lesson.stem in side_by_side.TIMED else at_once
        environment = kernel.environment(out, beside) | ({"LORA_LESSONS_FRESH": "1"} if fresh else {})
        title = f"{names.index(lesson.stem) + 1}/{len(names)} {lesson.stem}"
        if several:
            tqdm.write(f"{title} begins", file=sys.stderr)
        return run_one(
            lesson, values, out, environment, title, progress=not several, on_display=_say_beforehand, peak=peak
        )

    results: list[LessonResult] = []
    shape = "{n_fmt} of {total_fmt} lessons |{bar}| {elapsed}{postfix}"
    with alone_in(out), tqdm(total=len(lessons), bar_format=shape, disable=not several) as bar:
        before = earlier_results(out, profile, given)
        for result in side_by_side.results(lessons, run_lesson, at_once, profile):
            if judge and not given and result.status == OK:
                result.baseline = read_baseline(result.lesson, profile)
                result.deviations = compare(result.records, result.baseline) if result.baseline else []
                if any(not deviation.warning for deviation in result.deviations):
                    result.status = DEVIATES
            results = sorted([*results, result], key=lambda one: names.index(one.lesson))
            write_report(together(before, results), out, profile, given, planned=names)
            tqdm.write(str(result), file=sys.stderr)
            if several:
                took = {one.lesson: one.seconds for one in results}
                left = side_by_side.seconds_left(lessons, took, at_once, profile)
                bar.set_postfix_str(f"about {max(1, round(left / 60))} min left" if len(took) < len(names) else "done")
            bar.update()
    return results


def _say_beforehand(shown: Mapping[str, Any]) -> None:
    """What a lesson says of its minutes, above the bar of the run that is going on."""
    for line in shown.get(Beforehand.mime, []):
        tqdm.write(in_line(line), file=sys.stderr)


def _check_no_work(out: Path, lessons: Sequence[Path]) -> None:
    """Raise FileExistsError where `out` has a lesson in the place of a report's: a learner's copy, the course's own."""
    for file in (out / f"{lesson.stem}.ipynb" for lesson in lessons if not (out / REPORT).exists()):
        if file.exists() and b'"papermill": {' not in file.read_bytes():  # an executed notebook says when that was
            raise FileExistsError(f"{file} is no report's, and would be replaced: choose another --out, or move it.")


def run_one(
    lesson: Path,
    parameters: Mapping[str, Any],
    out: Path,
    environment: dict[str, str] | None = None,
    title: str = "",
    *,
    progress: bool = True,
    on_display: Callable[[dict[str, Any]], object] | None = None,
    peak: kernel.PeakMemory | None = None,
) -> LessonResult:
    """Execute one notebook with those of `parameters` that it has, and keep it in `out` as executed.

    `on_display` hears of everything that a cell displays, or displays anew, while it runs: the data by MIME type;
    `peak`, of the kernel and its memory. What happens in the notebook is told by the result.
    Raises OSError where `out` cannot be written.
    """
    started, peak = time.perf_counter(), peak or kernel.PeakMemory()
    environment = environment or kernel.environment(out)
    result = LessonResult(lesson.stem, OK, 0.0, 0, 0)
    try:
        notebook = read_notebook(lesson)
        result.cells = sum(cell.cell_type == "code" for cell in notebook.cells)
        has = parameters_of(notebook)
        known = {name: value for name, value in parameters.items() if name in has}
        with peak.watching():
            bar = {"desc": title, "file": sys.stderr, "dynamic_ncols": True} if progress else None
            _execute(result, notebook, known, lesson.parent.resolve(), environment, peak, bar, on_display)
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

        try:
            result.records = records_of(result.notebook)
        except MalformedRecord as error:
            result.status = FAILED if result.status == OK else result.status
            result.error = result.error or _cell_error(result.notebook, error.index, "ValueError", str(error), "")
        with whole_file(out / f"{lesson.stem}.ipynb") as temporary:
            nbformat.write(result.notebook, temporary)
    return result


def _execute(
    result: LessonResult,
    notebook: NotebookNode,
    parameters: dict[str, Any],
    folder: Path,
    environment: dict[str, str],
    peak: kernel.PeakMemory,
    bar: dict[str, Any] | None,
    on_display: Callable[[dict[str, Any]], object] | None,
) -> None:
    """Run one notebook, filling `result.notebook` as it goes and `result.error` when it fails."""
    import papermill
    from nbclient.exceptions import DeadKernelError

    kernel.register_engine()
    at: list[int] = []
    begun, has = time.time(), parameters_of(notebook)

    def on_cell(client: Any, cell: NotebookNode, cell_index: int) -> None:
        result.notebook = client.nb
        at[:] = [cell_index]
        peak.pid = getattr(client.km.provisioner, "pid", None)
        if (shown := client.nb_man.pbar) is not None:
            shown.set_postfix_str(first_line(cell.source)[:40], refresh=sys.stderr.isatty())

    if bar is not None and not sys.stderr.isatty():
        bar |= {"mininterval": 20, "ascii": True}
    try:
        papermill.execute_notebook(
            notebook,
            None,
            parameters,
            engine_name=kernel.ENGINE,
            kernel_name="python3",
            language="python",
            cwd=folder,
            progress_bar=bar or False,
            environment=environment,
            on_cell=on_cell,
            on_display=on_display,
        )
    except papermill.PapermillExecutionError as error:
        result.status = FAILED
        result.error = _cell_error(
            result.notebook, error.cell_index, error.ename, error.evalue, "\n".join(error.traceback or [str(error)])
        )
    except DeadKernelError:
        result.status = FAILED
        why = why_it_died(has, parameters, begun, fresh="LORA_LESSONS_FRESH" in environment)
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
    return CellError(index + 1 - injected, first_line(cells[index].source), name, plain(message), plain(trace))


def plain(text: str) -> str:
    """`text` without the colour codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", text)
