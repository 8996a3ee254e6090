"""A check of any training file: its lines, its turns, its likenesses, and what a base's tokenizer makes of it.

`records` reads a file of any kind line by line, `layouts` makes every layout one; `checker` asks of each line what
`problems` may be said of it. `remarks` looks at its turns, `tokens` at its tokens on a base; `likeness` holds lines against
each other, `pairs` preferences, and `template` looks at what a base does to all of them. `report` says it all.
"""

from .checker import check as check
from .checker import conversations as conversations
from .problems import LOOK as LOOK
from .problems import NOTE as NOTE
from .problems import WRONG as WRONG
from .problems import Problem as Problem
from .report import DataReport as DataReport
from .report import Span as Span
from .report import as_page as as_page
from .report import for_page as for_page
from .report import for_terminal as for_terminal
from .report import in_words as in_words
from .report import rendered as rendered
