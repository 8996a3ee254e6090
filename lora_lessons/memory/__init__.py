"""The ledger: what a training run holds in memory, predicted before and measured after.

`bill` is its lines, `cards` what a card holds, `job` what is trained. `tape` writes down what a step holds; `build`
makes the model, with numbers or without, `loss` says what becomes of the logits, `way` how a step comes to its loss, and `prediction` reads a whole
model's bill off a few blocks. `fit` compares it with a card and says so; `sharded` divides it among several cards.
"""

from .bill import BASE_BYTES as BASE_BYTES
from .bill import CONTEXT_BYTES as CONTEXT_BYTES
from .bill import FULL as FULL
from .bill import GB as GB
from .bill import LINES as LINES
from .bill import METHODS as METHODS
from .bill import SLACK as SLACK
from .bill import Bill as Bill
from .bill import held_bytes as held_bytes
from .bill import reconcile as reconcile
from .bill import state as state
from .bill import table as table
from .build import build as build
from .cards import CARDS as CARDS
from .cards import card_bytes as card_bytes
from .cards import computes_in as computes_in
from .cards import find_card as find_card
from .cards import several_sizes as several_sizes
from .fit import ASSUMED as ASSUMED
from .fit import PEAKS as PEAKS
from .fit import RECIPE_NAMES as RECIPE_NAMES
from .fit import SAID as SAID
from .fit import as_json as as_json
from .fit import bill_table as bill_table
from .fit import describe as describe
from .fit import longest as longest
from .fit import on_card as on_card
from .fit import plan as plan
from .fit import validated as validated
from .fit import verdict as verdict
from .job import LAYERS as LAYERS
from .job import RECIPES as RECIPES
from .job import Job as Job
from .job import Shape as Shape
from .job import shape_of as shape_of
from .loss import LOSSES as LOSSES
from .parts import parts_of as parts_of
from .parts import pattern as pattern
from .prediction import Ledger as Ledger
from .prediction import ledgers as ledgers
from .prediction import measure as measure
from .prediction import predict as predict
from .prediction import predict_texts as predict_texts
from .prediction import trace as trace
from .sharded import CardBill as CardBill
from .sharded import Cluster as Cluster
from .sharded import HostBill as HostBill
from .sharded import Sharded as Sharded
from .sharded import cluster_of as cluster_of
from .sharded import shard as shard
from .sharded import sharded_as_json as sharded_as_json
from .sharded import sharded_table as sharded_table
from .sharded import sharded_verdict as sharded_verdict
from .way import TapedPath as TapedPath
from .way import taped as taped
from .way import texts as texts
