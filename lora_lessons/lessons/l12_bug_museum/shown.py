"""How the museum is shown in a notebook: vital signs and plaques. The catalogue needs none of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...course.records import show_value
from ...exhibits import catalogue
from ...outside import in_html

_EDGE = "border-left:4px solid #5f6368;padding:.3em .8em"
_HEADS = {"vital sign": "left", "this run": "right", "a healthy run": "right"}


def vital_signs(rows: Mapping[str, Iterable[Any]]) -> None:
    """Show numbers that any run can print: name → (in this run, in a healthy one); a tensor of one is unpacked."""
    from IPython.display import display

    plain, table = [], "".join(f"<th style='text-align:{side}'>{head}</th>" for head, side in _HEADS.items())
    for name, both in rows.items():
        here, healthy = (show_value(value.item() if hasattr(value, "item") else value) for value in both)
        plain.append(f"{name}: {here} in this run, {healthy} in a healthy one")
        table += (
            f"</tr><tr><td style='text-align:left'>{in_html(name)}</td>"
            f"<td style='text-align:right'><b>{in_html(here)}</b></td>"
            f"<td style='text-align:right'>{in_html(healthy)}</td>"
        )
    display({"text/plain": "\n".join(plain), "text/html": f"<table><tr>{table}</tr></table>"}, raw=True)


def named(id: str, said: Iterable[Any]) -> list[str]:
    """The sentences of `said` that name the mistake of exhibit `id`: those whose code is in its `found_by`."""
    return [one.sentence for one in said if one.code in catalogue()[id].found_by]


def plaque(id: str, said: Iterable[Any] = (), by: str = "lora-lessons inspect") -> None:
    """Show the plaque of exhibit `id`: its suspect, how you would have noticed, what the tool `by` said of it,
    its thread.

    `said` are the findings of an inspection or the problems of a check, run on the broken thing.
    """
    from IPython.display import display

    one, sentences = catalogue()[id], named(id, said)
    noticed = f"How you would have noticed: {one.noticed}"
    told = [one.suspect, noticed, *(f"{by} says: {s}" for s in sentences), f"Behind it: {one.behind}"]
    tool = [f"<code>{in_html(by)}</code> says: “{in_html(sentence)}”" for sentence in sentences]
    lines = [f"<b>{in_html(one.suspect)}</b>", in_html(noticed), *tool, f"Behind it: {one.behind_in_html()}"]
    html = f"<div style='{_EDGE}'>{'<br>'.join(lines)}</div>"
    display({"text/plain": "\n".join(told), "text/html": html}, raw=True)
