"""Where a step's time goes: PyTorch's profiler, its hundreds of operations sorted into four kinds."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

import torch
from torch import Tensor

PRODUCTS, ATTENTION, MOVING, REST = KINDS = ("matrix products", "attention", "moving numbers", "everything else")

_MULTIPLY = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "mkldnn_linear", "_addmm_activation"}
# They only say how numbers already in memory are to be read, or hand the work on to another operation.
_TOUCH_NOTHING = re.compile(
    r"(_unsafe_)?view|_?reshape(_alias)?|t|transpose|permute|expand|as_strided|slice|select|narrow|(un)?squeeze"
    r"|split(_with_sizes)?|chunk|unbind|(un)?flatten|detach|alias|(new_)?empty(_like|_strided)?|(new_)?zeros(_like)?"
    r"|(new_)?ones(_like)?|lift_fresh|result_type|_?to(_copy)?|resolve_(conj|neg)|contiguous|clone|item|is_nonzero"
    r"|_local_scalar_dense|matmul|linear|scaled_dot_product_attention"
)


def kind(operation: str) -> str:
    """Which of KINDS an operation belongs to, by the profiler's name for it (such as aten::mm)."""
    library, _, name = operation.partition("::")
    if library != "aten" or _TOUCH_NOTHING.fullmatch(name):
        return REST
    if "scaled_dot_product" in name or "flash_attention" in name:
        return ATTENTION
    return PRODUCTS if name in _MULTIPLY else MOVING


def where_time_goes(loss_of: Callable[[], Tensor]) -> dict[str, float]:
    """Seconds of one forward and backward pass by kind; what no operation accounts for, such as Python, is the rest."""
    # the profiler would tell of its start and end on stderr
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    loss_of().backward()  # what is made once is made now
    with torch.profiler.profile() as profile:
        start = time.perf_counter()
        loss_of().backward()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    found = dict.fromkeys(KINDS, 0.0)
    for event in profile.key_averages():
        spent = event.self_device_time_total if torch.cuda.is_available() else event.self_cpu_time_total
        found[kind(event.key)] += spent / 1e6
    found[REST] = max(0.0, seconds - sum(found[one] for one in KINDS if one != REST))
    return found
