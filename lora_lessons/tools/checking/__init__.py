"""A check of any training file: its lines, its turns, its likenesses, and what a base's tokenizer makes of it."""

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
