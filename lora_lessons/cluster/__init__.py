"""Several processes, one training: a base that no single card holds is divided among them (FSDP, through accelerate).

Read `fsdp` first: what is sharded, when it is gathered, and what travels (`traffic`); `four_bit` says what a 4-bit base
needs for that, and `held` what a rank has in memory. `run` (in `launch`) starts the ranks with accelerate's launcher
(`launcher`, `accelerate_file`); each is a `worker` that does a `job`, and `meeting` is where they find each other.
`launch_files` writes the same for cards and machines that are elsewhere.
"""

from .launch import ClusterOutcome as Outcome
from .launch import RankLost as RankLost
from .launch import run as run

__all__ = ["Outcome", "RankLost", "run"]
