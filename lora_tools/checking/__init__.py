"""A check of any training file: its lines, its turns, its likenesses, and what a base's tokenizer makes of it.

`records` reads a file of any kind line by line, `layouts` makes every layout one; `checker` asks of each line what
`problems` may be said of it. `remarks` looks at its turns, `tokens` at its tokens on a base; `likeness` holds lines
against each other, `pairs` preferences, and `template` looks at what a base does to all of them. `report` says it all.
"""

from .checker import check, conversations
from .problems import LOOK, NOTE, WRONG, Problem
from .report import DataReport, Span, as_page, for_page, for_terminal, in_words, rendered

__all__ = [
    "DataReport",
    "LOOK",
    "NOTE",
    "Problem",
    "Span",
    "WRONG",
    "as_page",
    "check",
    "conversations",
    "for_page",
    "for_terminal",
    "in_words",
    "rendered",
]
