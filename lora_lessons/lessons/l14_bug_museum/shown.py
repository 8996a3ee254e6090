"""How the museum is shown in a notebook: vital signs, plaques, two pictures. The catalogue needs none of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from matplotlib.figure import Figure

from ...course.records import Value, show_value
from ...drawing import BLUE, GREY, VERMILION, label
from ...exhibits import catalogue
from ...outside import in_html

if TYPE_CHECKING:
    from .workbench import Attempt

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
    """Show the plaque of exhibit `id`: its suspect, how you would have noticed, what the tool `by` said of it,
    its thread.

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


def losses(runs: Mapping[str, Sequence[float]]) -> tuple[Figure, str, str]:
    """The training loss of each run over its steps, its finding and its numbers: all in an adapter's blue,
    none given away."""
    figure = Figure(figsize=(7.0, 3.4))
    ax = figure.subplots()
    for name, curve in runs.items():
        ax.plot(range(1, len(curve) + 1), curve, color=BLUE)
        label(ax, len(curve), curve[-1], name, BLUE, size=13)
    ax.set(xlabel="step", ylabel="training loss, nats per token", ylim=(0, None))
    ax.set_title("All three losses fall, and one run is healthy")
    listed = "; ".join(f"{name} falls from {curve[0]:.2f} to {curve[-1]:.2f}" for name, curve in runs.items())
    return figure, "the training losses of three runs all fall, and only one run is healthy.", f"{listed}."


def three_measures(runs: Mapping[str, Attempt], base: tuple[float, float], bad: str) -> tuple[Figure, str, str]:
    """Training loss, held-out loss and perplexity of each run as bars, its finding and its numbers.

    The run `bad` alone is coloured; a dashed line is the base before training, `base` its held-out loss and perplexity.
    """
    figure = Figure(figsize=(7.2, 2.9))
    panels = (
        ("training loss", [run.losses[-1] for run in runs.values()], None, "{:.2f}"),
        ("held-out loss", [run.held_out for run in runs.values()], base[0], "{:.2f}"),
        ("perplexity", [run.general for run in runs.values()], base[1], "{:.0f}"),
    )
    numbers = []
    for ax, (title, values, before, shape) in zip(figure.subplots(1, 3), panels, strict=True):
        ax.barh(range(len(values)), values, color=[VERMILION if name == bad else GREY for name in runs], height=0.6)
        room = max([*values, before or 0])
        for y, value in enumerate(values):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            ax.text(value + 0.03 * room, y, shape.format(value), va="center", size=12, bbox=box)
        if before:
            ax.axvline(before, color="black", ls="--", lw=1.3, zorder=0.5)
            ax.annotate("the base", (before, -0.75), (4, -2), textcoords="offset points", size=11, va="top")
        ax.set_title(title, size=12)
        ax.set(xlim=(0, 1.45 * room), ylim=(len(values) - 0.4, -0.9), xticks=[])
        ax.set_yticks(range(len(values)), list(runs))
        ax.grid(visible=False)
        listed = ", ".join(f"{name} {shape.format(value)}" for name, value in zip(runs, values, strict=True))
        numbers.append(f"{title}: {listed}" + (f" (the base: {shape.format(before)})" if before else ""))
    figure.suptitle(
        f"{bad} has the best training loss, and is the worst elsewhere", x=0.01, ha="left", weight="bold", size=13
    )
    return (
        figure,
        (
            f"run {bad} has the lowest training loss, and by far the highest held-out loss and perplexity; "
            "A and C are close."
        ),
        f"{'. '.join(numbers)}.",
    )
