"""Exercises of hall 1: the adapter repaired."""

from __future__ import annotations
