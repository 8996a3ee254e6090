"""Records: a measured figure, kept unseen in the output of the cell that measured it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

MIME = "application/vnd.lora-lessons.record+json"

Value = float | int | bool | str


@dataclass(frozen=True)
class Record:
    """One measured figure. `volatile` marks what depends on the machine of the day (seconds, bytes of RAM)."""

    name: str
    value: Value
    unit: str = ""
    volatile: bool = False

    def __str__(self) -> str:
        return f"{self.name} = {show_value(self.value)}{' ' + self.unit if self.unit else ''}"


class Table:
    """The records of one cell: a list for programs, a line each as text. A reader sees nothing of it: the cell says
    what it found."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.records))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        # what is empty as HTML is shown as nothing, wherever HTML goes before plain text: in JupyterLab, Colab, VS Code
        return {MIME: [asdict(record) for record in self.records], "text/html": "", "text/plain": repr(self)}


def show_value(value: Value) -> str:
    """A value as a reader wants it: yes or no, whole numbers with separators, floats to four digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_session: dict[str, Record] = {}
_waiting: dict[str, Record] = {}  # recorded in the cell that is running, and not in its output yet


def record(name: str, value: Any, unit: str = "", *, volatile: bool = False) -> None:
    """Record a measured figure; when the cell is done, its output holds all of its records, unseen.

    `name` is lower-case words joined by dots or underscores; `value` is a number (a tensor or array of one is
    unpacked), a bool or a string. Raises TypeError or ValueError for anything else, NaN and infinity included.
    """
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"record({name!r}): a number, bool or string is recorded, not {type(value).__name__}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"record({name!r}): {value} is not a measurement; find out why before recording it.")
    _session[name] = _waiting[name] = Record(name, value, unit, volatile)
    _keep_after_this_cell()


def _keep_after_this_cell() -> None:
    """Put what waits into the output when the cell that is running ends, also by an error; at once where none is."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        keep_waiting()
        return
    if keep_waiting not in shell.events.callbacks["post_execute"]:
        shell.events.register("post_execute", keep_waiting)


def keep_waiting() -> None:
    """Put the records that wait into the output of the cell, as one list."""
    if _waiting:
        from IPython.display import display

        table = Table(_waiting.values())
        _waiting.clear()
        display(table)


def session_records() -> dict[str, Record]:
    """What has been recorded in this kernel so far, by name."""
    return dict(_session)


class MalformedRecord(ValueError):
    """A cell shows, as a record, what is none. `index` is the cell's place in the notebook, from 0."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(
            f"what the cell shows as a record is none ({why}): use lora_lessons.course.record to make one."
        )
        self.index = index


def records_of(notebook: Any) -> dict[str, Record]:
    """The records in an executed notebook (an nbformat node), by name.

    A cell's output holds a list of them; notebooks that ran before there were tables hold one in each output.
    Raises MalformedRecord, a ValueError, for one that `record` would not have made.
    """
    records: dict[str, Record] = {}
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            bundle = output.get("data", {}).get(MIME)
            for one in bundle if isinstance(bundle, list) else [bundle] if bundle else []:
                if why := fault(one):
                    raise MalformedRecord(index, why)
                records[one["name"]] = Record(**one)
    return records


def fault(one: Any) -> str:
    """Why `one` is no record as `record` makes it; "" where it is."""
    kinds: dict[str, Any] = {"name": str, "value": (bool, int, float, str), "unit": str, "volatile": bool}
    if not isinstance(one, dict):
        return f"a {type(one).__name__} in place of its fields"
    if wrong := sorted({"name", "value"} - one.keys()) + sorted(map(str, one.keys() - kinds.keys())):
        return f"its fields are not {', '.join(kinds)}: {wrong[0]}"
    if wrong := [name for name, value in one.items() if not isinstance(value, kinds[name])]:
        return f"its {wrong[0]} is a {type(one[wrong[0]]).__name__}"
    return f"its value is {one['value']}" if isinstance(one["value"], float) and not math.isfinite(one["value"]) else ""
