"""Lesson 10's two questions to a running server: does it refuse strangers, and is each swapped adapter PEFT's?"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...llamacpp import Server


def refuses_strangers(url: str) -> bool:
    """Whether the server turns away a request that does not carry its token."""
    try:
        urllib.request.urlopen(f"{url}/lora-adapters", timeout=20)
    except urllib.error.HTTPError as refused:
        return refused.code == 401
    return False


@torch.no_grad()
def swap_gap(server: Server, model: Any, in_peft: Mapping[str, str], prompt: Sequence[int]) -> float:
    """The largest difference of a log-probability between server and PEFT, swapping through all adapters and back.

    `in_peft` maps the server's name of each adapter to PEFT's. The first one is on again at the end, in both.
    """
    worst, (first, *others) = 0.0, in_peft
    for name in (first, *others, first):
        server.set_scales({name: 1.0})
        model.set_adapter(in_peft[name])
        expected = model(torch.tensor([list(prompt)])).logits[0, -1].log_softmax(0)
        worst = max(worst, (server.next_logprobs(prompt) - expected).abs().max().item())
    return worst
