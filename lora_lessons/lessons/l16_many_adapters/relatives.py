"""A hundred different adapters out of four: those that the course ships, and relatives of them that nobody trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...adapter import Adapter


def hundred(trained: Sequence[Adapter], count: int = 100, seed: int = 0) -> list[Adapter]:
    """`trained` and relatives of theirs, `count` in all, no two alike, in fp16.

    A relative has its parent's directions, each made weaker or stronger by chance (0.5 to 1.5 times); every third keeps
    only half of them, so its rank is half as large, and its scale α/r twice as large.
    """
    generator = torch.Generator().manual_seed(seed)
    made = [_in_16_bits(adapter) for adapter in trained]
    for n in range(len(made), count):
        parent = trained[n % len(trained)]
        r = max(1, parent.r // 2) if n % 3 == 0 else parent.r
        strength = 0.5 + torch.rand(r, 1, generator=generator)
        A = {layer: strength * matrix[:r] for layer, matrix in parent.A.items()}
        B = {layer: matrix[:, :r] for layer, matrix in parent.B.items()}
        made.append(_in_16_bits(parent._replace(name=f"{parent.name}_{n}", r=r, A=A, B=B)))
    return made


def _in_16_bits(adapter: Adapter) -> Adapter:
    A, B = ({layer: matrix.half() for layer, matrix in part.items()} for part in (adapter.A, adapter.B))
    return adapter._replace(A=A, B=B)
