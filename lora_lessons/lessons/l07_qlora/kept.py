"""What a layer keeps for the way back: the memory ledger's own measurement, under the name that lesson 07 gives it."""

from ...memory.tape import kept_for_backward as kept_for_backward
