"""What all pairs of a preference file teach together, meant or not:
whether the chosen answer is the longer or the shorter."""

from __future__ import annotations

from dataclasses import dataclass

# A coin falls nine times of ten, or oftener, to one side or the other in 2% of all tries: fewer pairs show nothing.
ENOUGH = 10
# So large a share of pairs is a rule that a model can follow without reading the answers (measured on published
# preference data: Singhal et al. 2023, arXiv 2310.03716; with DPO: Park et al. 2024, arXiv 2403.19159).
NEARLY_ALWAYS = 0.9


@dataclass(frozen=True)
class Compared:
    """How many pairs there are, and in how many the chosen answer is shorter or longer than the rejected one."""

    pairs: int = 0
    shorter: int = 0
    longer: int = 0

    def add(self, chosen: int, rejected: int) -> Compared:
        """With one more pair, whose answers have these lengths."""
        return Compared(self.pairs + 1, self.shorter + (chosen < rejected), self.longer + (chosen > rejected))

    def __str__(self) -> str:
        which, count = max(("shorter", self.shorter), ("longer", self.longer), key=lambda one: one[1])
        return f"the chosen answer is the {which} one in {count / self.pairs:.0%} of the pairs"

    @property
    def shortcut(self) -> str:
        """What to do where length alone tells the answers apart; "" where it does not."""
        if self.pairs < ENOUGH or max(self.shorter, self.longer) < NEARLY_ALWAYS * self.pairs:
            return ""
        kind = "longer" if self.shorter > self.longer else "shorter"
        return (
            f"{self}, so the model can learn length in place of what you mean: add pairs whose {kind} answer is the "
            "better one, unless length is what you want to teach."
        )
