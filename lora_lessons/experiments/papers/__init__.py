"""What the papers say, tried in miniature: a second ledger beside that of the glossary page, P01 to P12.

`arms` is what is trained, `training_arms` how, `watching` what is looked at beside the loss, `recording` finds every arm's rate
and keeps each run. `judging` works out the verdicts from the recordings, and `ledger` puts them beside the words of
data/papers.toml. `python -m lora_lessons.experiments.papers --record` makes the runs that the recording lacks.
"""

from .judging import VERDICTS as VERDICTS
from .ledger import PaperClaim as PaperClaim
from .ledger import faults as faults
from .ledger import rows as rows
