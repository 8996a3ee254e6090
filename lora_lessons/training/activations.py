"""What a forward pass leaves in memory: everything, or with gradient checkpointing each block's input alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def checkpointing(model: Any) -> Iterator[None]:
    """Gradient checkpointing while the block runs: of each transformer block only the input is kept for backward.

    One more forward pass (a third more time) for activations that no longer grow with the depth. Not reentrant, so
    that adapters get gradients although the embeddings' output asks for none.
    """
    # the second names are those of transformers before 5.20
    on = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    off = getattr(model, "activation_checkpointing_disable", None) or model.gradient_checkpointing_disable
    on({"use_reentrant": False})
    try:
        with no_cache(model):
            yield
    finally:
        off()


@contextmanager
def no_cache(model: Any) -> Iterator[None]:
    """No cache of keys and values while the block runs.

    Training never reads one, and only without one does transformers tell the conversations of a packed row apart.
    """
    config: Any = getattr(model, "config", None)
    used = getattr(config, "use_cache", False)
    if used:
        config.use_cache = False
    try:
        yield
    finally:
        if used:
            config.use_cache = True
