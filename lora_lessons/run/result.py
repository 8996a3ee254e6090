"""What became of a lesson that was run: its records, what deviates, where it failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..course.records import Record
from .baselines import Deviation
from .shown import handover

if TYPE_CHECKING:
    from nbformat import NotebookNode


OK, FAILED, DEVIATES, INTERRUPTED = "ok", "failed", "deviates", "interrupted"


class CellError(NamedTuple):
    """Where and how a lesson failed. `cell` counts from 1 in the notebook as the learner sees it; 0 where none ran."""

    cell: int
    first_line: str
    name: str
    message: str
    traceback: str = ""

    def __str__(self) -> str:
        where = f"cell {self.cell} ({self.first_line})" if self.cell else "before its first cell"
        return f"{where}: {self.name}: {self.message}"


@dataclass
class LessonResult:
    """What became of one lesson."""

    lesson: str  # the notebook's stem
    status: str  # OK, FAILED, DEVIATES or INTERRUPTED
    seconds: float
    peak_ram_bytes: int  # the largest resident size seen of the kernel and its children
    cells: int  # code cells in the lesson
    records: dict[str, Record] = field(default_factory=dict)
    deviations: list[Deviation] = field(default_factory=list)
    baseline: dict[str, Any] | None = None  # what the records were held against
    error: CellError | None = None
    notebook: NotebookNode | None = field(default=None, repr=False)  # as executed
    kept_from: str = ""  # the date of the earlier run that it was taken over from, if it was

    def __str__(self) -> str:
        took = f"{self.seconds:.1f} s, peak {self.peak_ram_bytes / 1e9:.2f} GB, {len(self.records)} records"
        lines = [f"{self.lesson}: {self.status} ({took})"]
        lines += [f"  {self.error}"] * (self.error is not None)
        lines += [f"  {'note: ' * d.warning}{d.sentence}" for d in self.deviations]
        lines += [f"  {line}" for line in handover(self.notebook)]
        return "\n".join(lines)
