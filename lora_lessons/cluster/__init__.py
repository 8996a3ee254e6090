"""Several processes, one training: a base that no single card holds is divided among them (FSDP, through accelerate).

Read `fsdp` first: what is sharded, when it is gathered, and what travels. `run` starts the ranks (`launch`, with
accelerate's launcher in `launcher`), each of which is a `worker`; `meeting` is where they find each other.
"""

from .launch import ClusterOutcome as Outcome
from .launch import RankLost as RankLost
from .launch import run as run

__all__ = ["Outcome", "RankLost", "run"]
