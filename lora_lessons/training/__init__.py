"""One training loop for every lesson: repeatable by seed, resumable after a kill, honest about gradients.

Read `loop` first, with the `settings` that it takes and the `losses` that it asks for. `runs` puts reuse, checkpoints
(`checkpoint`) and progress around it; `processes` says who trains when there are several.
"""

from .checkpoint import CHECKPOINT as CHECKPOINT
from .checkpoint import FINISHED as FINISHED
from .checkpoint import code_and_machine as code_and_machine
from .checkpoint import fingerprint as fingerprint
from .checkpoint import steps_done as steps_done
from .loop import batches as batches
from .loop import check_gradients as check_gradients
from .loop import check_loss as check_loss
from .loop import checkpointing as checkpointing
from .loop import no_cache as no_cache
from .losses import step_flops as step_flops
from .runs import train as train
from .settings import Settings as Settings
from .settings import Training as Training
from .settings import TrainingStopped as TrainingStopped
