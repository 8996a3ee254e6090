"""NaN and infinity: which weight of a model they come from, so that no empty answer passes for an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


def check_finite(model: Any, numbers: Tensor, what: str) -> None:
    """Raise ModelError when `numbers`, which `model` has worked out, hold NaN or infinity; it names the weight to blame.

    The weights are looked through only then: a base that is sound loads and answers as fast as without.
    """
    if numbers.isfinite().all():
        return
    if name := not_finite(model.named_parameters()):
        raise ModelError(
            f"{what} became NaN or infinity, because {name} holds such numbers: fetch the base again, or train the adapter "
            "again with a lower learning rate."
        )
    raise ModelError(
        f"{what} became NaN or infinity, though all weights are finite: they are too large for {model.dtype} to multiply. "
        "Load the base in fp32, or train the adapter again with a lower learning rate."
    )


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The name of the first of `tensors` that holds NaN or infinity; "" where none does."""
    return next((name for name, one in tensors if one.is_floating_point() and not one.isfinite().all()), "")
