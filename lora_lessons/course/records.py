"""Records: a measured figure, shown to the learner and kept in the cell's own output."""

from __future__ import annotations

import html
import math
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

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        text = f"<code>{html.escape(self.name)}</code> = <b>{show_value(self.value)}</b> {html.escape(self.unit)}"
        return {MIME: asdict(self), "text/html": text, "text/plain": str(self)}


def show_value(value: Value) -> str:
    """A value as a reader wants it: yes or no, whole numbers with separators, floats to four digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_session: dict[str, Record] = {}


def record(name: str, value: Any, unit: str = "", *, volatile: bool = False) -> None:
    """Show a measured figure and store it in this cell's output.

    `name` is lower-case words joined by dots or underscores; `value` is a number (a tensor or array of one is
    unpacked), a bool or a string. Raises TypeError or ValueError for anything else, NaN and infinity included.
    """
    if hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"record({name!r}): a number, bool or string is recorded, not {type(value).__name__}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"record({name!r}): {value} is not a measurement; find out why before recording it.")
    from IPython.display import display

    _session[name] = made = Record(name, value, unit, volatile)
    display(made)


def session_records() -> dict[str, Record]:
    """What has been recorded in this kernel so far, by name."""
    return dict(_session)


def records_of(notebook: Any) -> dict[str, Record]:
    """The records in an executed notebook (an nbformat node), by name."""
    bundles = (output.get("data", {}).get(MIME) for cell in notebook.cells for output in cell.get("outputs", []))
    return {bundle["name"]: Record(**bundle) for bundle in bundles if bundle}
