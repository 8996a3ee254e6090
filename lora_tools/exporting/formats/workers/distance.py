"""How far a quantized model is from a reference: what the workers compute alike, in numpy alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def divergence(rows: Iterable[np.ndarray], reference: str) -> float:
    """Mean KL(reference ‖ model) a token, nats; `rows` are the model's logits, chat by chat (tokens × vocabulary)."""
    log_p, total, done = np.load(reference, mmap_mode="r"), 0.0, 0
    for logits in rows:
        q = logits.astype(np.float64)
        q -= q.max(1, keepdims=True)
        q -= np.log(np.exp(q).sum(1, keepdims=True))
        p = np.asarray(log_p[done : done + len(q)], dtype=np.float64)
        total += float((np.exp(p) * (p - q)).sum())
        done += len(q)
    if done != len(log_p):
        raise ValueError(f"the reference has {len(log_p)} rows, and {done} tokens were compared")
    return total / done
