"""A check of any training file: its lines, its turns, its likenesses, and what a base's tokenizer makes of it."""

from .checker import check as check
from .checker import conversations as conversations
from .page import as_page as as_page
from .problems import LOOK as LOOK
from .problems import NOTE as NOTE
from .problems import WRONG as WRONG
from .problems import Problem as Problem
from .rendering import Span as Span
from .rendering import for_page as for_page
from .rendering import for_terminal as for_terminal
from .rendering import rendered as rendered
from .report import DataReport as DataReport
from .report import in_words as in_words
