"""What is measured once, kept in data/, and quoted by the lessons as recorded."""

from .recordings import table as recorded

__all__ = ["recorded"]
