"""What lesson 05's pictures show, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...experiments.sweep import Summary
from . import recorded

Lines = Mapping[str, Sequence[tuple[int, Summary]]]


def of_rules(loss: Lines) -> str:
    """The three rules' lines, rank by rank."""
    said = []
    for rule, points in loss.items():
        ends = ", ".join(f"{one.mean:.2f}" for _, one in points)
        said.append(f"With {rule}, ranks {points[0][0]} to {points[-1][0]} end at {ends} nats.")
    return " ".join(said)


def of_table_6(ours: Lines) -> str:
    """The paper's Table 6 beside the sweep."""
    listed = " ".join(
        f"{name}: " + ", ".join(f"{one.mean:.2f} at rank {r}" for r, one in points) + "."
        for name, points in ours.items()
    )
    on_q, on_qv, on_all = recorded.table_6().values()
    more = [on_all[r] - on_qv[r] for r in on_qv]
    return (
        f"Left, the paper: on q alone accuracy rises from {on_q[1]}% at rank 1 to {on_q[4]}% at rank 4 and then stays; with v as "
        f"well it is three to five points higher at every rank, and with k and o another {min(more):.1f} to {max(more):.1f}. "
        f"Right, ours, in nats and turned so that higher is better. {listed}"
    )


def of_intervals(rows: Mapping[str, Summary]) -> str:
    """Each contender's interval, to the thousandth: intervals that only just miss each other must not look equal."""
    return " ".join(f"{name}: {one.low:.3f} to {one.high:.3f}." for name, one in rows.items())
