"""How much does an adapter hold? A phone book of invented entries, learned through few numbers until some are lost.

`book` invents the entries, `holding` trains B·A or a sparse mask on them and counts the bits, `cells` says what was
asked and where the answers were recorded.
"""

from .book import BITS as BITS
from .book import invented as invented
from .cells import COMMAND as COMMAND
from .cells import NAME as NAME
from .cells import BookRun as BookRun
from .holding import BookBench as BookBench
