"""How much does an adapter hold? A phone book of invented entries, learned through few numbers until some are lost.

`book` invents the entries, `holding` trains B·A or a sparse mask on them and counts the bits, `cells` says what is asked
and in which order. `python -m lora_lessons.experiments.capacity --record` writes data/measurements/lesson_18_capacity.json,
run by run, and goes on where it was stopped.
"""

from .book import BITS as BITS
from .book import invented as invented
from .cells import COMMAND as COMMAND
from .cells import NAME as NAME
from .cells import BookRun as BookRun
from .cells import asked as asked
from .cells import record as record
from .cells import recorded as recorded
from .holding import BookBench as BookBench
