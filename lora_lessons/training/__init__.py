"""One training loop for every lesson: `loop` first; `settings` and `optimizers` beside it."""

from .loop import CHECKPOINT as CHECKPOINT
from .loop import FINISHED as FINISHED
from .loop import Training as Training
from .loop import TrainingStopped as TrainingStopped
from .loop import batches as batches
from .loop import check_gradients as check_gradients
from .loop import checkpointing as checkpointing
from .loop import fingerprint as fingerprint
from .loop import no_cache as no_cache
from .loop import step_flops as step_flops
from .loop import train as train
from .optimizers import OPTIMIZERS as OPTIMIZERS
from .optimizers import make_optimizer as make_optimizer
from .settings import Settings as Settings
