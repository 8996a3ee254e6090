"""Lessons side by side: two processes of one thread do more of a small model's work than one process of two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from ..machine import free_bytes
from .baselines import read_baseline
from .kernel import PeakMemory
from .result import FAILED, INTERRUPTED, LessonResult

MOST = 4  # lessons at once
USUAL_BYTES, USUAL_SECONDS = 6e9, 80.0  # of a lesson without a baseline; the largest of the course holds 5.5 GB
ROOM = 0.8  # of the memory that is free at the beginning
TIMED = ("08_faster", "09_many_adapters")  # they compare speeds, so nothing runs beside them

RunLesson = Callable[[Path, PeakMemory], LessonResult]


def how_many(lessons: Sequence[Path]) -> int:
    """How many of `lessons` this machine runs at once: one for each core, MOST at most; one where they share a card."""
    return 1 if shutil.which("nvidia-smi") else max(1, min(MOST, os.cpu_count() or 1, len(lessons)))


def results(lessons: Sequence[Path], run: RunLesson, at_once: int, profile: str = "quick") -> Iterator[LessonResult]:
    """Run up to `at_once` lessons at a time, as far as memory allows, and hand out the result of each when it ends.

    `run` is given a lesson, and where to say its kernel's pid. Those that compare speeds come last, alone. At Ctrl-C,
    or when the caller asks for no more, the kernels end; at Ctrl-C the results of what was interrupted are handed out
    before KeyboardInterrupt is raised.
    """
    if at_once == 1:
        yield from _in_turn(lessons, run)
        return
    waiting = sorted(lessons, key=lambda lesson: lesson.stem in TIMED)
    needs = {lesson: _bytes(lesson, profile) for lesson in lessons}
    running: dict[Future[LessonResult], tuple[Path, PeakMemory]] = {}
    room = ROOM * free_bytes()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    if running and sum(needs[lesson] for lesson, _ in running.values()) + needs[waiting[0]] > room:
                        break
                    lesson, peak = waiting.pop(0), PeakMemory()
                    running[pool.submit(run, lesson, peak)] = lesson, peak
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    del running[future]
                    yield result
        except KeyboardInterrupt:
            yield from _stopped(running)
            raise
        finally:
            _stopped(running)


def seconds_left(lessons: Sequence[Path], took: Mapping[str, float], at_once: int, profile: str = "quick") -> float:
    """How long the lessons that are not in `took` will still take: their recorded seconds, at the pace of those that
    are (seconds by name, one at least), `at_once` at a time, but for those that run alone."""
    baselines = {lesson.stem: read_baseline(lesson.stem, profile) for lesson in lessons}
    known = {name: baseline["seconds"] if baseline else USUAL_SECONDS for name, baseline in baselines.items()}
    beside = {name: seconds / (1 if name in TIMED else at_once) for name, seconds in known.items() if name not in took}
    return sum(took.values()) / sum(known[name] for name in took) * sum(beside.values())


def _in_turn(lessons: Sequence[Path], run: RunLesson) -> Iterator[LessonResult]:
    for lesson in lessons:
        yield (result := run(lesson, PeakMemory()))
        if result.status == INTERRUPTED:
            raise KeyboardInterrupt


def _bytes(lesson: Path, profile: str) -> float:
    """The memory that a lesson is to have; without end where it must be alone."""
    if lesson.stem in TIMED:
        return float("inf")
    baseline = read_baseline(lesson.stem, profile)
    return baseline["peak_ram_bytes"] if baseline else USUAL_BYTES


def _stopped(running: dict[Future[LessonResult], tuple[Path, PeakMemory]]) -> list[LessonResult]:
    """End the kernels that run; what became of their lessons."""
    while wait(running, timeout=0.2).not_done:  # a kernel that is just starting has no pid yet
        for _, peak in running.values():
            peak.end()
    stopped = [future.result() for future in running]
    running.clear()
    for result in stopped:
        if result.status == FAILED:  # the others had just ended by themselves
            result.status, result.error = INTERRUPTED, None
    return stopped
