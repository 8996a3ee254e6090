"""Checks of the museum's exercises, a file a hall: each runs what the learner repaired, and names what is still broken."""

# Imported here because they register themselves.
from . import hall_1 as hall_1
from . import hall_2 as hall_2
from . import hall_3 as hall_3
from . import hall_3_training as hall_3_training
