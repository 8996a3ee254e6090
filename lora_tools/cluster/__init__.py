"""Several processes, one training: a base that no single card holds is divided among them (FSDP, through accelerate).

Read `fsdp` first: what is sharded, when it is gathered, and what travels. `run` (in `launch`) starts the ranks with
accelerate's launcher; each is a `worker`. It also writes the same for cards and machines that are elsewhere, and
`ray` spreads many trainings.
"""

from .launch import ClusterOutcome as Outcome
from .launch import RankLost as RankLost
from .launch import run as run

__all__ = ["Outcome", "RankLost", "run"]
