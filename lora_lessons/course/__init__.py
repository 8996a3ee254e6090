"""The frame of a lesson: the verbs that its notebook imports, and what stands behind them."""

from ..drawing import show
from .claims import verdict
from .exercises import check
from .learner import compare, my_folder, newest_folder, predict
from .lesson import begin, scorecard
from .own_code import own
from .records import record

__all__ = [
    "begin",
    "check",
    "compare",
    "my_folder",
    "newest_folder",
    "own",
    "predict",
    "record",
    "scorecard",
    "show",
    "verdict",
]
