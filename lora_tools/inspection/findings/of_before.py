"""Findings from the adapter that the training went on from: what of it moved, and what never did."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import torch

from ..reading import AdapterFolder, Stored
from ..xray import Finding
from .said import finding, in_towers, named

# Numbers that are too few to say of two A's whether they are alike, and the cosine of two that were drawn apart.
FEW, UNLIKE = 100, 0.2


def findings(opened: AdapterFolder, before: AdapterFolder) -> Iterator[Finding]:
    """What of `before` stands in `opened`, to the bit or rounded to the coarser of their formats, and what changed.

    Raises ValueError where a file is damaged.
    """
    old = {_place(one): one for one in before.tensors}
    alike: dict[str, list[bool]] = {}
    turned: list[float] = []
    for one in opened.tensors:
        if (other := old.get(_place(one))) and one.shape == other.shape:
            now, then = opened.read(one), before.read(other)
            coarser = min(now.dtype, then.dtype, key=lambda dtype: dtype.itemsize)
            alike.setdefault(_matrix(one.module), []).append(torch.equal(now.to(coarser), then.to(coarser)))
            if one.role == "A" and one.numbers > FEW:
                turned.append(float(torch.cosine_similarity(now.float().flatten(), then.float().flatten(), dim=0)))
    name = before.place.name or str(before.place)
    exactly = (
        "to the bit" if len({one.dtype for one in (*opened.tensors, *before.tensors)}) == 1 else "but for rounding"
    )
    if not alike:
        yield finding("before_is_another", before=name)
        return
    still = [module for module, same in alike.items() if all(same)]
    if len(still) == len(alike):
        yield finding("unchanged", before=name, exactly=exactly)
        return
    if turned and median(turned) < UNLIKE:
        yield finding("began_anew", before=name, cosine=median(turned))
        return
    if still:
        yield finding(
            "unchanged_in_part",
            "note" if in_towers(still) else "look",
            before=name,
            where=named(still, len(alike)),
            exactly=exactly,
        )
    every = {_matrix(one.module) for one in (*opened.tensors, *before.tensors)}
    yield finding(
        "changed",
        before=name,
        where=named([module for module in alike if module not in set(still)], len(alike)),
        others=" Others stand in one of the two alone." * (len(alike) < len(every)),
    )


def _place(one: Stored) -> tuple[str, str, str]:
    """Where a tensor belongs, the same in a file whose keys hold the adapter's name."""
    return one.module, one.role, "" if one.role in ("A", "B") else one.key


def _matrix(module: str) -> str:
    """The matrix that a part of an adapter belongs to: A, B and DoRA's magnitudes are parts of one."""
    return module.partition(".lora_")[0]
