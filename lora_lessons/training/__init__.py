"""One training loop for every lesson: repeatable by seed, resumable after a kill, honest about gradients.

Read `loop` first. `settings` and `optimizers` say how to train; `gradients`, `scaling` and `activations` help a step;
`runs` puts reuse, checkpoints (`checkpoint`, `fingerprints`, `lock`) and progress around the loop.
"""

from .activations import checkpointing as checkpointing
from .activations import no_cache as no_cache
from .checkpoint import CHECKPOINT as CHECKPOINT
from .checkpoint import FINISHED as FINISHED
from .checkpoint import steps_done as steps_done
from .fingerprints import code_and_machine as code_and_machine
from .fingerprints import fingerprint as fingerprint
from .flops import step_flops as step_flops
from .gradients import check_gradients as check_gradients
from .history import Training as Training
from .history import TrainingStopped as TrainingStopped
from .loop import batches as batches
from .runs import train as train
from .settings import Settings as Settings
