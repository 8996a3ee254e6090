"""What a mixer is asked and what it says: mixtures of adapters, in words, as they were recorded, as a still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import mixing
from ...adapter import Adapter
from ...experiments.prompting import Sample
from ...outside import in_html

NONE = "none"
LOWEST, HIGHEST = -1.0, 1.5
# What a learner chooses.
CHOICE = ("question", "first", "scale", "second", "scale_second")


def mixture(known: Mapping[str, Adapter], parts: Mapping[str, float]) -> Adapter | None:
    """The weighted sum of the named adapters, each with its scale; None when nothing is left of them.

    Raises ValueError for a name that is not known, or a scale outside -1 … 1.5.
    """
    for name, scale in parts.items():
        if name not in known:
            raise ValueError(f"no adapter is named {name!r}: choose from {', '.join(known)}.")
        if isinstance(scale, bool) or not LOWEST <= scale <= HIGHEST:
            raise ValueError(f"the scale of {name} is {scale:g}: choose -1 to 1.5 (1 is as trained, 0 is without).")
    chosen = [(known[name], scale) for name, scale in parts.items() if scale]
    return mixing.weighted_sum(chosen) if chosen else None


def blend(parts: Mapping[str, float]) -> str:
    """A mixture in words, such as "1 × persona + 0.5 × strict_json"."""
    return " + ".join(f"{scale:g} × {name}" for name, scale in parts.items()) or "no adapter"


def rows(recorded: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recorded answers as the mixer's page looks them up: by its CHOICE, with NONE and 1 for an adapter that is not there."""
    found = []
    for row in recorded["rows"]:
        parts: dict[str, float] = row["parts"]
        (first, scale), (second, scale_second), *_ = [*parts.items(), (NONE, 1.0), (NONE, 1.0)]
        chosen = dict(zip(CHOICE, (row["question"], first, scale, second, scale_second), strict=True))
        found.append(
            chosen | {"title": blend(parts), "base": recorded["base"][row["question"]], "answer": row["answer"]}
        )
    return found


def still(names: Sequence[str], samples: Mapping[str, Sample]) -> str:
    """What a page without a kernel shows (HTML): what the widget does, and the recorded answers."""
    words = (
        f"<p><i>A widget:</i> choose one adapter or two of {in_html(', '.join(names))}, a scale from -1 to 1.5 "
        "for each, and a question. The base's answer and the mixture's stand side by side. Run the cell to use it.</p>"
    )
    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
    rows = "".join(
        "<tr>" + "".join(cell.format(in_html(text)) for text in (name, *one)) + "</tr>" for name, one in samples.items()
    )
    head = "".join(f"<th>{title}</th>" for title in ("adapter", "question", "the base", "with the adapter"))
    return words + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")
