"""A sweep: the training notebook run for each rank, alpha, method and seed; its table and figure."""

from lora_lessons.experiments.sweep import ABOUT as ABOUT
from lora_lessons.experiments.sweep import BASES as BASES
from lora_lessons.experiments.sweep import COLUMNS as COLUMNS
from lora_lessons.experiments.sweep import RANKS as RANKS
from lora_lessons.experiments.sweep import STOPPED as STOPPED
from lora_lessons.experiments.sweep import TABLE as TABLE
from lora_lessons.experiments.sweep import Summary as Summary
from lora_lessons.experiments.sweep import Trial as Trial
from lora_lessons.experiments.sweep import alpha_of as alpha_of
from lora_lessons.experiments.sweep import by_setting as by_setting
from lora_lessons.experiments.sweep import grid as grid
from lora_lessons.experiments.sweep import lines as lines
from lora_lessons.experiments.sweep import paired as paired
from lora_lessons.experiments.sweep import read_table as read_table
from lora_lessons.experiments.sweep import recorded as recorded
from lora_lessons.experiments.sweep import summary as summary
from lora_lessons.experiments.sweep import trial_of as trial_of
from lora_lessons.experiments.sweep import write_table as write_table

from .one import RESULT as RESULT
from .one import kept_adapter as kept_adapter
from .one import run_one as run_one
from .runs import FIGURE as FIGURE
from .runs import Ray as Ray
from .runs import results as results
from .runs import run as run
from .runs import saved as saved
