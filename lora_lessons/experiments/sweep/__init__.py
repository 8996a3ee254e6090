"""A sweep's trials, one for each rank, alpha, method and seed, and its table; `lora_tools.sweep` runs them."""

from .table import ABOUT as ABOUT
from .table import COLUMNS as COLUMNS
from .table import STOPPED as STOPPED
from .table import TABLE as TABLE
from .table import Summary as Summary
from .table import by_setting as by_setting
from .table import lines as lines
from .table import paired as paired
from .table import read_table as read_table
from .table import recorded as recorded
from .table import summary as summary
from .table import trial_of as trial_of
from .table import write_table as write_table
from .trials import BASES as BASES
from .trials import RANKS as RANKS
from .trials import Trial as Trial
from .trials import alpha_of as alpha_of
from .trials import grid as grid
