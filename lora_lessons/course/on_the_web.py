"""What a page without a kernel gets of a lesson's widgets: each room says what its own offer there.

A Stage is worked out beforehand at the values named here; a widget of another kind brings its recorded answers along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..machine import stamp

SCENE = "application/vnd.lora-lessons.scene+json"  # an output's own baked file: what that very run measured


class Live(NamedTuple):
    """A widget that lives on the web, and the call in a notebook's cell that shows it."""

    name: str
    cell: str
    make: Callable[[], Any]
    values: Mapping[str, Sequence[Any]]
    apart: tuple[str, ...]
    controls: int
    ends: bool = False


class Kind(NamedTuple):
    """A widget's page half, as JupyterLab runs it, and what stands in for Python on the web."""

    esm: Path
    css: Path | None
    answers: Path | None


LIVE: dict[str, Live] = {}
KINDS: dict[str, Kind] = {}


def live(
    name: str,
    cell: str,
    make: Callable[[], Any],
    values: Mapping[str, Sequence[Any]] | None = None,
    apart: Sequence[str] = (),
    controls: int = 1,
    ends: bool = False,
) -> None:
    """Let the widget that `cell` shows live on the web, under `name`.

    `make` gives the Stage as the lesson's cell makes it. `values` are those that a control offers there; a control that
    is not named offers all it has. The slider's own name thins out its stops.
    Settings that differ in a control named in `apart` lie in files of their own, fetched when they are first asked for.
    `controls` is how many there are, so that the page keeps room for them. With `ends`, a whole number typed beyond what
    the slider can be is answered with Python's own refusal.
    """
    LIVE[name] = Live(name, cell, make, values or {}, tuple(apart), controls, ends)


def kind(name: str, esm: Path, css: Path | None = None, answers: Path | None = None) -> None:
    """Let the site know a kind of widget: the module and style of JupyterLab, and a script that answers in place of Python."""
    KINDS[name] = Kind(esm, css, answers)


kind("stage", Path(__file__).with_name("stage.js"), Path(__file__).with_name("stage.css"))
kind(
    "chat_box",
    Path(__file__).with_name("chat_box.js"),
    Path(__file__).with_name("chat_box.css"),
    Path(__file__).with_name("chat_box.replay.js"),
)


def played(
    name: str,
    kind: str,
    state: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    made: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What an output keeps under SCENE of a widget that can be asked: its traits, and recorded answers, one a row.

    `made` has the machine and the date of the recording; without it they are this machine and today.
    """
    note = f"{recorded_on(made)} In JupyterLab you can ask anything."
    return {"name": name, "kind": kind, "note": note, "state": dict(state), "answers": {"rows": list(rows)}}


def recorded_on(made: Mapping[str, Any] | None = None) -> str:
    """When and where something was recorded, as a sentence; without `made`: here and today."""
    made = made or stamp()
    return f"Recorded on {made['date']}, {made['machine']}."
