"""What lesson 09 records, under the names that its prose quotes: the scorecards, the prompts, what survives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ... import evaluation
from ...course import record
from ...experiments import prompting, shipped_adapters, survives
from ...tasks import scores

ASKED = {"rules": "told the rules", "rules and examples": f"and shown {prompting.EXAMPLES} examples"}


def keep_cards(cards: Mapping[str, evaluation.Scorecard]) -> None:
    """Record what each adapter gained and what it cost."""
    for name, card in cards.items():
        record(f"gain.{name}", card.gain, "nats lower on held-out topics")
        record(f"kept.{name}", 100 * card.trained.kept, "% of its answers keep every rule")
        record(f"forgetting.{name}", card.forgetting, "times the base's perplexity on general text")
        record(f"drift.{name}", 100 * card.trained.drift, "% of everyday answers in its form")


def cards_in_words(cards: Mapping[str, evaluation.Scorecard], of: int) -> str:
    """The scorecards as sentences, the interval of the rules kept among them."""
    said = []
    for name, card in cards.items():
        low, high = evaluation.interval(card.trained.kept, of)
        said.append(
            f"{name}: rules kept {card.base.kept:.0%} → {card.trained.kept:.0%} ({low:.0%} to {high:.0%}), "
            f"perplexity × {card.forgetting:.2f}, drift {card.trained.drift:.0%}."
        )
    return " ".join(said)


def broken_rules(task: str, said: Sequence[str], examples: Sequence[dict[str, Any]]) -> Counter[str]:
    """How many answers break each rule of the task; the rule by its advice, without what was found instead."""
    faults = (scores.faults(task, answer, one) for answer, one in zip(said, examples, strict=True))
    return Counter(fault.partition(", not ")[0] for found in faults for fault in found)


def shares_by_prompt() -> dict[str, dict[str, float]]:
    """Of each task, the recorded share of answers that keep every rule: bare base, with a prompt's help, adapter."""
    found = {}
    for name in shipped_adapters.shipped():
        card, helped = shipped_adapters.recorded_card(name), prompting.shares(name)
        asked = {ASKED[way]: helped[way] for way in prompting.WAYS}
        found[name] = {"the base": card.base.kept} | asked | {"adapter": card.trained.kept}
    return found


def keep_shares(shares: Mapping[str, Mapping[str, float]]) -> None:
    """Record the best share that a prompt reached on each task."""
    for name, found in shares.items():
        best = max(found[asked] for asked in ASKED.values())
        record(f"told.{name}", 100 * best, "% with the better of the prompts (recorded)")


def shares_in_words(shares: Mapping[str, Mapping[str, float]]) -> str:
    """The shares as sentences."""
    lists = {name: ", ".join(f"{way} {share:.0%}" for way, share in found.items()) for name, found in shares.items()}
    return " ".join(f"{name}: {said}." for name, said in lists.items())


def keep_survivors(rows: Sequence[Mapping[str, Any]]) -> None:
    """Record the table of what survives, as it was recorded."""
    for row in rows:
        way = row["way"].replace("-", "_")
        record(f"survives.{way}.kept", 100 * row["kept"], f"% of answers: {survives.TITLES[row['way']]}")
        record(f"survives.{way}.kl", row["kl"], "nats from the unmerged model")
        record(f"survives.{way}.bits", row["bits"], "bits a weight in the layers")
