"""How an exhibit is shown in its notebook: the vital signs beside those of a healthy run, and the plaque at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ...course.records import Value, show_value
from ...outside import in_html
from .exhibits import catalogue

_EDGE = "border-left:4px solid #5f6368;padding:.3em .8em"


class Said(Protocol):
    """What `inspect` or `check` found: a Finding or a Problem."""

    @property
    def code(self) -> str: ...
    @property
    def sentence(self) -> str: ...


class VitalSigns:
    """Numbers that any run can print: name → (in this run, in a healthy one). Both are measured."""

    def __init__(self, rows: Mapping[str, tuple[Value, Value]]) -> None:
        self.rows = [(name, show_value(here), show_value(healthy)) for name, (here, healthy) in rows.items()]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {here} in this run, {healthy} in a healthy one" for name, here, healthy in self.rows)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        heads = "".join(
            f"<th style='text-align:{side}'>{head}</th>"
            for head, side in (("vital sign", "left"), ("this run", "right"), ("a healthy run", "right"))
        )
        rows = "".join(
            f"<tr><td style='text-align:left'>{in_html(name)}</td>"
            f"<td style='text-align:right'><b>{in_html(here)}</b></td>"
            f"<td style='text-align:right'>{in_html(healthy)}</td></tr>"
            for name, here, healthy in self.rows
        )
        return {"text/plain": repr(self), "text/html": f"<table><tr>{heads}</tr>{rows}</table>"}


def vital_signs(rows: Mapping[str, tuple[Any, Any]]) -> None:
    """Show, for each name, what was measured here and in a healthy run; a tensor of one number is unpacked."""
    from IPython.display import display

    def plain(value: Any) -> Value:
        return value.item() if hasattr(value, "item") else value

    display(VitalSigns({name: (plain(here), plain(healthy)) for name, (here, healthy) in rows.items()}))


def named(id: str, said: Iterable[Said]) -> list[str]:
    """The sentences of `said` that name the mistake of exhibit `id`: those whose code is in its `found_by`."""
    return [one.sentence for one in said if one.code in catalogue()[id].found_by]


def plaque(id: str, said: Iterable[Said] = (), by: str = "lora-lessons inspect") -> None:
    """Show the plaque of exhibit `id`: its suspect, how you would have noticed, what the tool `by` said of it, its thread.

    `said` are the findings of an inspection or the problems of a check, run on the broken thing.
    """
    from IPython.display import display

    one, sentences = catalogue()[id], named(id, said)
    tool = [f"<code>{in_html(by)}</code> says: “{in_html(sentence)}”" for sentence in sentences]
    lines = [f"<b>{in_html(one.suspect)}</b>", f"How you would have noticed: {in_html(one.noticed)}", *tool]
    lines.append(f"Behind it: {one.behind_in_html()}")
    told = [one.suspect, f"How you would have noticed: {one.noticed}", *(f"{by} says: {s}" for s in sentences)]
    bundle = {
        "text/plain": "\n".join([*told, f"Behind it: {one.behind}"]),
        "text/html": f"<div style='{_EDGE}'>{'<br>'.join(lines)}</div>",
    }
    display(bundle, raw=True)
