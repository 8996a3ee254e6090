"""Rows of the record of sizes, made up."""

from lora_lessons.experiments.sizes.cells import of

STEPS = 2


def row(cell, found=None, seconds=1.0, steps=STEPS, **changed):
    made = {"claim": cell.claim, "size": cell.size.name, "way": cell.way, "seed": cell.seed, "how": cell.how(steps)}
    stamped = {"machine": "Xeon, 2 cores", "date": "2026-11-28"}
    return made | {"found": found or {}, "seconds": seconds} | stamped | changed


def some(size, claim, way=None, seed=0):
    """One cell of a size."""
    return next(c for c in of(size, [claim]) if c.seed == seed and way in (None, c.way))


def rows_of(claim, size, found):
    """Rows of a claim: `found` gives for each way a number a seed, or numbers by name."""
    return [
        row(some(size, claim, way, seed), one if isinstance(one, dict) else {"loss": one})
        for way, seeds in found.items()
        for seed, one in enumerate(seeds)
    ]
