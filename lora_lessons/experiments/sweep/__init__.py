"""A sweep: the training notebook run for each rank, alpha, method and seed; its table and figure."""

from .intervals import Summary as Summary
from .intervals import by_setting as by_setting
from .intervals import lines as lines
from .intervals import paired as paired
from .intervals import summary as summary
from .runs import FIGURE as FIGURE
from .runs import RESULT as RESULT
from .runs import cached as cached
from .runs import kept_adapter as kept_adapter
from .runs import results as results
from .runs import run as run
from .runs import run_one as run_one
from .table import ABOUT as ABOUT
from .table import COLUMNS as COLUMNS
from .table import TABLE as TABLE
from .table import read_table as read_table
from .table import recorded as recorded
from .table import trial_of as trial_of
from .table import write_table as write_table
from .trials import BASES as BASES
from .trials import RANKS as RANKS
from .trials import Trial as Trial
from .trials import alpha_of as alpha_of
from .trials import grid as grid
from .trials import told_apart as told_apart
