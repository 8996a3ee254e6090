"""What the Trainer of transformers needs to repeat our loop: `experiments/by_trainer.py` has it, and the benches use it, too."""

from ...experiments.by_trainer import in_our_order as in_our_order
from ...experiments.by_trainer import our_rates as our_rates
from ...experiments.by_trainer import quiet as quiet
