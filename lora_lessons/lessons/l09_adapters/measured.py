"""What lesson 09 measures and records: scorecards, prompts, what survives a merge, what a mixer is asked and what it says.

What 4 bits leave of a merged update is measured on the weights, before any model answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import evaluation, mixing, quant
from ...adapter import Adapter
from ...course import record
from ...experiments import prompting, shipped_adapters, survives
from ...experiments.prompting import Sample
from ...outside import in_html
from ...tasks import scores

# The scales of persona and plain language in the lesson's mixtures.
BLENDS = {
    "neither": (0.0, 0.0),
    "persona": (1.0, 0.0),
    "plain_language": (0.0, 1.0),
    "half_each": (0.5, 0.5),
    "both": (1.0, 1.0),
}


class Moves(NamedTuple):
    """Weights in groups by what they were asked to move: the means of what was asked, and of what each way gave."""

    asked: list[float]  # in steps: a block's absmax times the mean distance of two levels
    into_rounded: list[float]
    then_rounded: list[float]
    kept_into: float  # the share of ΔW that is left: the projection of what moved on ΔW
    kept_then: float


def moves(weights: Mapping[str, Tensor], updates: Mapping[str, Tensor], groups: int = 15) -> Moves:
    """Merge each layer's ΔW into NF4, and before NF4; compare with what was asked. Weights and updates are by layer."""
    asked, into, then, units = [], [], [], []
    for name, W in weights.items():
        delta, packed = updates[name], quant.quantize(W.bfloat16(), double=True)
        before = quant.dequantize(packed).float()
        units.append(_steps(before))
        asked.append(delta.flatten())
        into.append((quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float() - before).flatten())
        merged = quant.quantize((W + delta).bfloat16(), double=True)
        then.append((quant.dequantize(merged).float() - before).flatten())
    wanted, step = torch.cat(asked), torch.cat(units)
    order = (wanted / step).argsort()
    flat = [torch.cat(moved) for moved in (asked, into, then)]
    means = [[float(part.mean()) for part in (moved / step)[order].chunk(groups)] for moved in flat]
    kept = [float((moved * wanted).sum() / wanted.square().sum()) for moved in flat[1:]]
    return Moves(means[0], means[1], means[2], kept[0], kept[1])


def _steps(W4: Tensor) -> Tensor:
    """Of every weight, how far apart two marks of its block are on average."""
    absmax = W4.reshape(-1, 64).abs().amax(1, keepdim=True)
    return (quant.levels("nf4").diff().mean() * absmax).clamp(min=1e-12).expand(-1, 64).flatten()


def kept_in_four_bits(packed: quant.Quantized, delta: Tensor, factor: float = 1.0) -> float:
    """The share of factor·ΔW that is left after merging it into `packed`: its projection on ΔW."""
    there = quant.dequantize(mixing.merged_into_four_bits(packed, factor * delta)).float()
    moved = there - quant.dequantize(packed).float()
    return float((moved * delta).sum() / delta.square().sum() / factor)


def mean_move(packed: quant.Quantized, delta: Tensor) -> float:
    """The mean change of a weight, in steps between two marks."""
    return float((delta.abs().flatten() / _steps(quant.dequantize(packed).float())).mean())


# Where the update of a QLoRA training is put; by the record's name.
PATHS = {
    "into_4_bits": "merged into 4 bits",
    "dequantized": "4 bits → 16, then merged",
    "original": "merged into the original 16 bits",
    "none": "for comparison: no adapter",
}


def on_path(path: str, W: Tensor, packed: quant.Quantized, delta: Tensor) -> Tensor:
    """The layer's weight after one of PATHS, in fp32; W is the original in 16 bits, `packed` the same in 4."""
    if path == "into_4_bits":
        return quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float()
    if path == "original":
        return (W + delta).bfloat16().float()
    W4 = quant.dequantize(packed).float()
    return (W4 + delta).bfloat16().float() if path == "dequantized" else W4


def listed(rows: Sequence[Mapping[str, float | str]], titles: Mapping[str, str]) -> str:
    """The table of what survives, in words."""
    return " ".join(
        f"{titles[str(row['way'])]}: {row['kept']:.0%} of answers ({row['low']:.0%} to {row['high']:.0%}), "
        f"KL {row['kl']:.2g}, {row['bits']:.1f} bits."
        for row in rows
    )


NONE = "none"
LOWEST, HIGHEST = -1.0, 1.5
# What a learner chooses.
CHOICE = ("question", "first", "scale", "second", "scale_second")


def mixture(known: Mapping[str, Adapter], parts: Mapping[str, float]) -> Adapter | None:
    """The weighted sum of the named adapters, each with its scale; None when nothing is left of them.

    Raises ValueError for a name that is not known, or a scale outside -1 … 1.5.
    """
    for name, scale in parts.items():
        if name not in known:
            raise ValueError(f"no adapter is named {name!r}: choose from {', '.join(known)}.")
        if isinstance(scale, bool) or not LOWEST <= scale <= HIGHEST:
            raise ValueError(f"the scale of {name} is {scale:g}: choose -1 to 1.5 (1 is as trained, 0 is without).")
    chosen = [(known[name], scale) for name, scale in parts.items() if scale]
    return mixing.weighted_sum(chosen) if chosen else None


def blend(parts: Mapping[str, float]) -> str:
    """A mixture in words, such as "1 × persona + 0.5 × strict_json"."""
    return " + ".join(f"{scale:g} × {name}" for name, scale in parts.items()) or "no adapter"


def rows(recorded: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recorded answers as the mixer's page looks them up: by its CHOICE, with NONE and 1 for an adapter that is not there."""
    looked_up = []
    for row in recorded["rows"]:
        parts: dict[str, float] = row["parts"]
        (first, scale), (second, scale_second), *_ = [*parts.items(), (NONE, 1.0), (NONE, 1.0)]
        chosen = dict(zip(CHOICE, (row["question"], first, scale, second, scale_second), strict=True))
        looked_up.append(
            chosen | {"title": blend(parts), "base": recorded["base"][row["question"]], "answer": row["answer"]}
        )
    return looked_up


def still(names: Sequence[str], samples: Mapping[str, Sample]) -> str:
    """What a page without a kernel shows (HTML): what the widget does, and the recorded answers."""
    words = (
        f"<p><i>A widget:</i> choose one adapter or two of {in_html(', '.join(names))}, a scale from -1 to 1.5 "
        "for each, and a question. The base's answer and the mixture's stand side by side. Run the cell to use it.</p>"
    )
    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
    rows = "".join(
        "<tr>" + "".join(cell.format(in_html(text)) for text in (name, *one)) + "</tr>" for name, one in samples.items()
    )
    head = "".join(f"<th>{title}</th>" for title in ("adapter", "question", "the base", "with the adapter"))
    return words + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")


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
    sentences = []
    for name, card in cards.items():
        low, high = evaluation.interval(card.trained.kept, of)
        sentences.append(
            f"{name}: rules kept {card.base.kept:.0%} → {card.trained.kept:.0%} ({low:.0%} to {high:.0%}), "
            f"perplexity × {card.forgetting:.2f}, drift {card.trained.drift:.0%}."
        )
    return " ".join(sentences)


def broken_rules(task: str, said: Sequence[str], examples: Sequence[dict[str, Any]]) -> Counter[str]:
    """How many answers break each rule of the task; the rule by its advice, without what was found instead."""
    faults = (scores.faults(task, answer, one) for answer, one in zip(said, examples, strict=True))
    return Counter(fault.partition(", not ")[0] for broken in faults for fault in broken)


def shares_by_prompt() -> dict[str, dict[str, float]]:
    """Of each task, the recorded share of answers that keep every rule: bare base, with a prompt's help, adapter."""
    by_task = {}
    for name in shipped_adapters.shipped():
        card, helped = shipped_adapters.recorded_card(name), prompting.shares(name)
        asked = {ASKED[way]: helped[way] for way in prompting.WAYS}
        by_task[name] = {"the base": card.base.kept} | asked | {"adapter": card.trained.kept}
    return by_task


def keep_shares(shares: Mapping[str, Mapping[str, float]]) -> None:
    """Record the best share that a prompt reached on each task."""
    for name, by_prompt in shares.items():
        best = max(by_prompt[asked] for asked in ASKED.values())
        record(f"told.{name}", 100 * best, "% with the better of the prompts (recorded)")


def shares_in_words(shares: Mapping[str, Mapping[str, float]]) -> str:
    """The shares as sentences."""
    lists = {
        name: ", ".join(f"{way} {share:.0%}" for way, share in by_prompt.items()) for name, by_prompt in shares.items()
    }
    return " ".join(f"{name}: {text}." for name, text in lists.items())


def keep_survivors(rows: Sequence[Mapping[str, Any]]) -> None:
    """Record the table of what survives, as it was recorded."""
    for row in rows:
        way = row["way"].replace("-", "_")
        record(f"survives.{way}.kept", 100 * row["kept"], f"% of answers: {survives.TITLES[row['way']]}")
        record(f"survives.{way}.kl", row["kl"], "nats from the unmerged model")
        record(f"survives.{way}.bits", row["bits"], "bits a weight in the layers")
