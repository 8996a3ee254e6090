"""The errors that say what to do next."""

from __future__ import annotations


class ModelError(RuntimeError):
    """A base model could not be had; the message says why and what to do next."""
