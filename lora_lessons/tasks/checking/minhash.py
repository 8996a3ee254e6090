"""How alike two texts are, known from 32 bytes of each: Broder's MinHash (1997).

A text is the set of its runs of five characters. The share of random orders of all runs in which two sets have the same
first member is the share of runs that they have in common. Of each order's first member one byte is kept.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

RUN, ORDERS, BANDS = 5, 32, 8
# Two texts are nearly the same when so many of their runs are.
NEAR = 0.85
# A longer text is known by its beginning.
READ = 20_000
# A row is compared with so many others of the same band.
NEIGHBOURS = 8
_FACTORS, _SHIFTS = np.random.default_rng(0).integers(0, 2**63, (2, ORDERS, 1), np.uint64) * np.uint64(2) + np.uint64(1)
_PRIME = np.uint64(0x100000001B3)
Signatures = NDArray[np.uint8]


def number_of(text: str) -> int:
    """Eight bytes that stand for a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def signature(text: str) -> bytes:
    """One byte for each of ORDERS orders: of the run of `text` that comes first in it."""
    codes = np.frombuffer(text[:READ].ljust(RUN).encode("utf-32-le"), np.uint32).astype(np.uint64)
    runs = np.zeros(len(codes) - RUN + 1, np.uint64)
    for at in range(RUN):
        runs = (runs ^ codes[at : at + len(runs)]) * _PRIME
    runs ^= runs >> np.uint64(29)
    first = np.full(ORDERS, 2**64 - 1, np.uint64)
    for at in range(0, len(runs), 4096):
        first = np.minimum(first, (runs[at : at + 4096] * _FACTORS + _SHIFTS).min(axis=1))
    return (first >> np.uint64(40)).astype(np.uint8).tobytes()


def table(signatures: bytes | bytearray) -> Signatures:
    """Signatures, one after the other, as rows of ORDERS bytes."""
    return np.frombuffer(bytes(signatures), np.uint8).reshape(-1, ORDERS)


def near(one: Signatures, other: Signatures) -> NDArray[np.bool_]:
    """Whether texts are nearly the same, by their signatures, row by row."""
    alike: NDArray[np.bool_] = (one == other).mean(axis=-1) >= NEAR
    return alike


def near_pairs(rows: Signatures) -> dict[int, int]:
    """For each row that is nearly the same as an earlier one: that row. Only rows with a band in common are compared."""
    found: dict[int, int] = {}
    for band in _bands(rows):
        order = np.argsort(band, kind="stable")
        for lag in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            _note(found, rows, rows, band, band, order[lag:], order[:-lag])
    return found


def nearest(rows: Signatures, others: Signatures) -> dict[int, int]:
    """For each of `rows` that is nearly the same as one of `others`: the first of those."""
    found: dict[int, int] = {}
    for band, their_band in zip(_bands(rows), _bands(others), strict=True):
        order = np.argsort(their_band, kind="stable")
        begins = np.searchsorted(their_band[order], band)
        for lag in range(NEIGHBOURS if len(others) else 0):
            at = order[np.minimum(begins + lag, len(order) - 1)]
            _note(found, rows, others, band, their_band, np.arange(len(rows)), at)
    return found


def _bands(rows: Signatures) -> NDArray[np.uint32]:
    """Four bytes of each signature at a time: texts that are nearly the same have some of them in common."""
    return np.ascontiguousarray(np.ascontiguousarray(rows).view(np.uint32).reshape(-1, BANDS).T)


def _note(
    found: dict[int, int],
    rows: Signatures,
    others: Signatures,
    band: NDArray[np.uint32],
    their_band: NDArray[np.uint32],
    mine: NDArray[np.intp],
    theirs: NDArray[np.intp],
) -> None:
    """Add the pairs of rows (`mine`, `theirs`) that have the band in common and are nearly the same."""
    same = band[mine] == their_band[theirs]
    mine, theirs = mine[same], theirs[same]
    alike = near(rows[mine], others[theirs])
    for one, other in zip(mine[alike].tolist(), theirs[alike].tolist(), strict=True):
        found[one] = min(other, found.get(one, other))
