"""The control of lessons 01, 06 and 07: the same measurements on a base that nobody rounded before us.

`lora-lessons bench encoder` writes data/measurements/never_rounded.json.
"""

from .classify import DAYS as DAYS
from .classify import Order as Order
from .classify import messages as messages
from .classify import train as train
from .ranking import rank as rank
from .ranking import sentences as sentences
from .recording import record as record
from .recording import recorded as recorded
from .recording import spectra as spectra
from .ways import WAYS as WAYS
from .ways import Way as Way
from .ways import even_marks as even_marks
from .ways import rounded as rounded
