"""What the papers say, tried in miniature: a second ledger beside that of the glossary page, P01 to P12.

`arms` is what was trained, and `recording` what is kept of it. `judging` works out the verdicts from the recordings,
and `ledger` puts them beside the words of data/papers.toml.
`python -m workshop record papers` makes the runs that lack.
"""

from .judging import VERDICTS as VERDICTS
from .ledger import PaperClaim as PaperClaim
from .ledger import faults as faults
from .ledger import rows as rows
