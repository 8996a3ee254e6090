"""The cells in the order of measuring: those that tell most first."""

from __future__ import annotations

from collections.abc import Mapping

from lora_lessons.experiments.sizes.cells import CLAIMS, SEEDS, SIZES, AskedBase, Cell, of
from lora_lessons.models import EMBEDDED

# What tells most, in turn: a size, claims, and so many seeds.
FIRST = (
    ("qwen2.5-coder-0.5b", ("delta", "rank", "base4"), 3),
    ("qwen2.5-coder-1.5b", ("rank", "base4"), 1),
    (EMBEDDED, ("delta", "rank", "base4"), 3),
)


def cells(sizes: Mapping[str, AskedBase] = SIZES, only: str = "", size: str = "") -> list[Cell]:
    """Every cell in the order of measuring; of one claim or size alone where that is asked.

    First what FIRST names, then of every size all claims with one seed, then the other seeds. Raises ValueError for a
    claim or a size that there is not.
    """
    if only and only not in CLAIMS:
        raise ValueError(f"--only {only}: there is no such claim; choose from {', '.join(CLAIMS)}.")
    if size and size not in sizes:
        raise ValueError(f"--size {size}: there is no such size; choose from {', '.join(sizes)}.")
    found = [cell for name, claims, seeds in FIRST if name in sizes for cell in of(sizes[name], claims, SEEDS[:seeds])]
    for seeds in (SEEDS[:1], SEEDS[1:]):
        found += [cell for one in sizes.values() for cell in of(one, seeds=seeds)]
    return [cell for cell in dict.fromkeys(found) if only in ("", cell.claim) and size in ("", cell.size.name)]
