"""Adapters in use: swapped, scaled, summed and merged on one base."""
