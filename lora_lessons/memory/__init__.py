"""The ledger: what a training run holds in memory, predicted before and measured after."""

from .bill import (
    BASE_BYTES as BASE_BYTES,
)
from .bill import (
    CARDS as CARDS,
)
from .bill import (
    CONTEXT_BYTES as CONTEXT_BYTES,
)
from .bill import (
    FULL as FULL,
)
from .bill import (
    GB as GB,
)
from .bill import (
    GIB as GIB,
)
from .bill import (
    LINES as LINES,
)
from .bill import (
    METHODS as METHODS,
)
from .bill import (
    NF4_BITS as NF4_BITS,
)
from .bill import (
    SCALE_BITS as SCALE_BITS,
)
from .bill import (
    SLACK as SLACK,
)
from .bill import (
    Bill as Bill,
)
from .bill import (
    Line as Line,
)
from .bill import (
    card_bytes as card_bytes,
)
from .bill import (
    find_card as find_card,
)
from .bill import (
    held_bytes as held_bytes,
)
from .bill import (
    reconcile as reconcile,
)
from .bill import (
    state as state,
)
from .bill import (
    table as table,
)
from .jobs import (
    DTYPES as DTYPES,
)
from .jobs import (
    LAYERS as LAYERS,
)
from .jobs import (
    LONGEST as LONGEST,
)
from .jobs import (
    Job as Job,
)
from .jobs import (
    Shape as Shape,
)
from .jobs import (
    build as build,
)
from .jobs import (
    period as period,
)
from .jobs import (
    primed_optimizer as primed_optimizer,
)
from .jobs import (
    shape_of as shape_of,
)
from .plan import (
    ASSUMED as ASSUMED,
)
from .plan import (
    METHOD_NAMES as METHOD_NAMES,
)
from .plan import (
    PRIMES as PRIMES,
)
from .plan import (
    SAID as SAID,
)
from .plan import (
    Change as Change,
)
from .plan import (
    Ledger as Ledger,
)
from .plan import (
    Plan as Plan,
)
from .plan import (
    as_json as as_json,
)
from .plan import (
    bill_table as bill_table,
)
from .plan import (
    check as check,
)
from .plan import (
    describe as describe,
)
from .plan import (
    ledgers as ledgers,
)
from .plan import (
    longest as longest,
)
from .plan import (
    measure as measure,
)
from .plan import (
    plan as plan,
)
from .plan import (
    predict as predict,
)
from .plan import (
    trace as trace,
)
from .plan import (
    verdict as verdict,
)
