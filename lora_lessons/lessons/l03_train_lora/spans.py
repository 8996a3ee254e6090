"""For the side trip to lesson 03: how much of one update's strongest directions lies among another's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ... import lowrank

TOP = 8  # directions of the other update that are looked among

Parts = Mapping[str, lowrank.SVD]  # of one update's ΔW, by layer


def cut(changes: Mapping[str, Tensor]) -> dict[str, lowrank.SVD]:
    """The directions of each ΔW, strongest first."""
    return {name: lowrank.svd(change.cpu()) for name, change in changes.items()}


def overlap(mine: Parts, other: Parts, side: str) -> list[float]:
    """Mean φ over layers of my top i directions with the other's top 8, for i = 1 … 8.

    `side` is "written", the directions of ΔW's output (B's side), or "read", those of its input (A's side).
    """

    def rows(parts: lowrank.SVD) -> Tensor:
        return parts.U.T if side == "written" else parts.Vh

    pairs = [(rows(mine[name]), rows(other[name])) for name in mine]
    return [
        sum(lowrank.subspace_overlap(a[:i], b[:TOP], i, TOP) for a, b in pairs) / len(pairs) for i in range(1, TOP + 1)
    ]
