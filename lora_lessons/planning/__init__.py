"""Does it fit? `cards` says what a card holds, `margin` how much of it stays free, `fit` compares the ledger with it,
`sharded` divides it among several."""

from .cards import CARDS as CARDS
from .cards import card_bytes as card_bytes
from .cards import cards_of as cards_of
from .cards import computes_in as computes_in
from .cards import find_card as find_card
from .cards import several_sizes as several_sizes
from .fit import ASSUMED as ASSUMED
from .fit import PEAKS as PEAKS
from .fit import RECIPE_NAMES as RECIPE_NAMES
from .fit import SAID as SAID
from .fit import as_json as as_json
from .fit import bill_table as bill_table
from .fit import by_trainer as by_trainer
from .fit import describe as describe
from .fit import in_fp16 as in_fp16
from .fit import longest as longest
from .fit import on_card as on_card
from .fit import parameters as parameters
from .fit import parameters_in_words as parameters_in_words
from .fit import plan as plan
from .fit import plan_on as plan_on
from .fit import trainers_in_words as trainers_in_words
from .fit import validated as validated
from .fit import verdict as verdict
from .margin import is_enough as is_enough
from .margin import margin as margin
from .sharded import CardBill as CardBill
from .sharded import Cluster as Cluster
from .sharded import HostBill as HostBill
from .sharded import Sharded as Sharded
from .sharded import cluster_of as cluster_of
from .sharded import shard as shard
from .sharded import sharded_as_json as sharded_as_json
from .sharded import sharded_table as sharded_table
from .sharded import sharded_verdict as sharded_verdict
