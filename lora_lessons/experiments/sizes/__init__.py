"""Every claim asked again at several sizes: cells that are measured one by one, and what they say together.

`cells` is what is asked of which base, and `table` and `statements` read the record.
"""

from .cells import CLAIMS as CLAIMS
from .cells import NAME as NAME
from .cells import SIZES as SIZES
from .cells import AskedBase as AskedBase
from .statements import STATEMENTS as STATEMENTS
from .statements import at_sizes as at_sizes
from .statements import in_words as in_words
from .statements import seen as seen
from .table import measured_at as measured_at
from .table import table as table
