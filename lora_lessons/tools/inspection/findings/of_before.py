"""Findings from the adapter that the training went on from: what of it moved, and what never did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..reading import AdapterFolder, Stored
from ..xray import Finding
from .of_numbers import named


def findings(opened: AdapterFolder, before: AdapterFolder) -> Iterator[Finding]:
    """What of `before` stands in `opened` to the bit, and what changed. Raises ValueError where a file is damaged."""
    old = {module: (A, B) for module, A, B in before.pairs()}
    pairs = [(module, (A, B), old.get(module, ())) for module, A, B in opened.pairs()]
    shared = [one for one in pairs if _shapes(one[1]) == _shapes(one[2])]
    name = before.place.name or str(before.place)
    if not shared:
        yield Finding(
            "another_adapter",
            "look",
            f"No matrix of {name} has the name and the shape of one in this adapter: it did not go on from that one.",
        )
        return
    still = [
        module
        for module, mine, theirs in shared
        if all(_alike(opened, one, before, other) for one, other in zip(mine, theirs, strict=True))
    ]
    if len(still) == len(shared):
        yield Finding(
            "unchanged",
            "wrong",
            f"Every A and B is that of {name}, to the bit: this training changed nothing. PEFT freezes an adapter that it loads, unless "
            "from_pretrained gets is_trainable=True, and prepare_model_for_kbit_training freezes one that is on the base already. "
            "Before you train, count the parameters that ask for a gradient.",
            "trl#6700, trl#3684, trl#3926, peft#282",
        )
        return
    if still:
        yield Finding(
            "unchanged",
            "look",
            f"A and B are those of {name}, to the bit, in {named(still, len(shared))}: there this training changed nothing.",
            "trl#6700, peft#282",
        )
    changed = [module for module, _, _ in shared if module not in set(still)]
    others = " Others stand in one of the two alone." if len(shared) < max(len(pairs), len(old)) else ""
    yield Finding("changed", "note", f"Beside {name}, A or B changed in {named(changed, len(shared))}.{others}")


def _shapes(pair: Sequence[Stored | None]) -> list[tuple[int, ...] | None]:
    return [one.shape if one else None for one in pair]


def _alike(opened: AdapterFolder, one: Stored | None, before: AdapterFolder, other: Stored | None) -> bool:
    """Whether two tensors of one shape hold the same numbers; two that are missing do."""
    return one is None or other is None or torch.equal(opened.read(one).float(), before.read(other).float())
