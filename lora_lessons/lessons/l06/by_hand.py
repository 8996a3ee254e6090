"""Where a learner's kept code of 0.3 looks for `back` and `nf4`."""

from ...by_hand import back as back
from ...by_hand import nf4 as nf4
