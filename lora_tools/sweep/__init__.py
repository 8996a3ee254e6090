"""A sweep: the training notebook run for each rank, alpha, method and seed; its table and figure."""

from .one import RESULT as RESULT
from .one import kept_adapter as kept_adapter
from .one import run_one as run_one
from .runs import FIGURE as FIGURE
from .runs import Ray as Ray
from .runs import results as results
from .runs import run as run
from .runs import saved as saved
