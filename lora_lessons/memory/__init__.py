"""The ledger: what a training step holds in memory, predicted before and measured after.

`bill` is its lines, `job` what is trained. `tape` writes down what a step holds; `build` makes the model, with numbers
or without, `way` says how a step comes to its loss, and `prediction` reads a whole model's bill off a few blocks.
Whether that fits a card, `tools.planning` says.
"""

from .bill import BASE_BYTES as BASE_BYTES
from .bill import CONTEXT_BYTES as CONTEXT_BYTES
from .bill import FULL as FULL
from .bill import GB as GB
from .bill import LINES as LINES
from .bill import LOSSES as LOSSES
from .bill import METHODS as METHODS
from .bill import SLACK as SLACK
from .bill import Bill as Bill
from .bill import held_bytes as held_bytes
from .bill import reconcile as reconcile
from .bill import state as state
from .build import build as build
from .job import LAYERS as LAYERS
from .job import RECIPES as RECIPES
from .job import Job as Job
from .job import Shape as Shape
from .job import shape_of as shape_of
from .parts import parts_of as parts_of
from .parts import pattern as pattern
from .prediction import Ledger as Ledger
from .prediction import ledgers as ledgers
from .prediction import measure as measure
from .prediction import predict as predict
from .prediction import predict_texts as predict_texts
from .prediction import trace as trace
from .tape import kept_for_backward as kept_for_backward
from .way import TapedPath as TapedPath
from .way import taped as taped
from .way import texts as texts
