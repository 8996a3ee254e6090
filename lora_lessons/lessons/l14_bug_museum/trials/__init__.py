"""Each repair of hall 3, tried on something tiny: what it did, in numbers. The notebook's vital signs and the checks use the same."""

from .files import Wrapped as Wrapped
from .files import a_saved_folder as a_saved_folder
from .files import loaded as loaded
from .files import tied as tied
from .four_bits import close as close
from .four_bits import in_four_bits as in_four_bits
from .four_bits import kept as kept
from .four_bits import kept_of as kept_of
from .four_bits import on_four_bits as on_four_bits
from .four_bits import one_layer as one_layer
from .four_bits import repacked as repacked
from .four_bits import weight_of as weight_of
from .gradients import checkpointed as checkpointed
from .gradients import half_base as half_base
from .gradients import in_fp16 as in_fp16
from .gradients import unscale_error as unscale_error
from .training import attached as attached
from .training import second_adapter as second_adapter
