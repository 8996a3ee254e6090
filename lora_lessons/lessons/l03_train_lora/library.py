"""What the Trainer of transformers needs to repeat our loop: `experiments/training_speed.py` has it, and the benches use it, too."""

from ...experiments.training_speed import in_our_order as in_our_order
from ...experiments.training_speed import our_rates as our_rates
from ...experiments.training_speed import quiet as quiet
