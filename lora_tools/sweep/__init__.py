"""A sweep: the training notebook run for each rank, alpha, method and seed; its table and figure."""

from .one import RESULT, kept_adapter, run_one
from .runs import FIGURE, Ray, results, run, saved

__all__ = ["FIGURE", "RESULT", "Ray", "kept_adapter", "results", "run", "run_one", "saved"]
