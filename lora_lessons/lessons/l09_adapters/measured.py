"""What lesson 09 measures and records: scorecards, prompts, mixtures, what a mixer says; of its side trip,
what a merge leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ... import evaluation, mixing, quant
from ...adapter import ADAPTER_WEIGHTS, Adapter
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


def in_nf4(W: Tensor) -> Tensor:
    """W rounded to 16 bits, then to NF4 with double quantization, in fp32 again."""
    return quant.dequantize(quant.quantize(W.bfloat16(), "nf4", double=True)).float()


def in_bf16(W: Tensor) -> Tensor:
    """W rounded to bf16, in fp32 again."""
    return W.bfloat16().float()


SIZES = (1 / 64, 1 / 16, 1 / 4, 1, 4, 16)  # times the adapter's own update


def left_by_size(
    weights: Mapping[str, Tensor], updates: Mapping[str, Tensor], stored: Callable[[Tensor], Tensor]
) -> dict[float, float]:
    """{size: the share of size·ΔW that is left when it is merged into weights that are `stored` so already}.

    The share is the projection of what the weights moved on what they should have, a mean over the layers.
    """
    found: dict[float, list[float]] = {size: [] for size in SIZES}
    for name, W in weights.items():
        before = stored(W)
        for size in SIZES:
            delta = size * updates[name]
            moved = stored(before + delta) - before
            found[size].append(float((moved * delta).sum() / delta.square().sum()))
    return {size: sum(shares) / len(shares) for size, shares in found.items()}


def mean_move(W4: Tensor, delta: Tensor) -> float:
    """The mean change of a weight, in steps: of every block of W4, how far apart two marks are on average."""
    absmax = W4.reshape(-1, 64).abs().amax(1, keepdim=True)
    step = (quant.levels("nf4").diff().mean() * absmax).clamp(min=1e-12)
    return float((delta.reshape(-1, 64).abs() / step).mean())


# Where the update of a QLoRA training is put; by the record's name.
PATHS = {
    "into_4_bits": "merged into 4 bits",
    "dequantized": "4 bits → 16, then merged",
    "original": "merged into the original 16 bits",
    "none": "no adapter, for comparison",
}

RECORDED = ("unmerged", "base", "merged", "nf4_apart", "into_nf4", "then_nf4")


def on_path(path: str, W: Tensor, packed: quant.Quantized, delta: Tensor) -> Tensor:
    """The layer's weight after one of PATHS, in fp32; W is the original in 16 bits, `packed` the same in 4."""
    if path == "into_4_bits":
        return quant.dequantize(mixing.merged_into_four_bits(packed, delta)).float()
    if path == "original":
        return (W + delta).bfloat16().float()
    W4 = quant.dequantize(packed).float()
    return (W4 + delta).bfloat16().float() if path == "dequantized" else W4


def add(parts: Sequence[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor]:
    """One pair A, B whose product is Σ weight·B·A: exercise 09.1's, where the learner has none."""
    return torch.cat([A for A, _, _ in parts]), torch.cat([weight * B for _, B, weight in parts], dim=1)


def summed(
    parts: Sequence[tuple[Adapter, float]],
    add: Callable[[list[tuple[Tensor, Tensor, float]]], tuple[Tensor, Tensor]],
) -> Adapter:
    """One adapter of several with the same layers, each layer's pair made by `add`; its α/r is 1."""
    pairs = {
        layer: add([(one.A[layer], one.B[layer], weight * one.scaling(layer)) for one, weight in parts])
        for layer in parts[0][0].A
    }
    r = sum(one.r for one, _ in parts)
    A, B = ({layer: pair[which] for layer, pair in pairs.items()} for which in (0, 1))
    return Adapter("sum", r, float(r), False, A, B, parts[0][0].base_name)


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
    """The recorded answers as the mixer's page looks them up: by its CHOICE,
    with NONE and 1 for an adapter that is not there."""
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


def shares_in_words(shares: Mapping[str, Mapping[str, float]]) -> str:
    """The shares as sentences."""
    lists = {
        name: ", ".join(f"{way} {share:.0%}" for way, share in by_prompt.items()) for name, by_prompt in shares.items()
    }
    return " ".join(f"{name}: {text}." for name, text in lists.items())


# ---- what is recorded ----


def record_files(base: Any) -> None:
    """The size of an adapter's file, beside the base's in 16 bits."""
    written = (shipped_adapters.shipped()["persona"] / ADAPTER_WEIGHTS).stat().st_size
    record("file.persona", written / 1e6, "MB: one adapter")
    record("file.base", sum(2 * p.numel() for p in base.model.parameters()) / 1e6, "MB: the base in 16 bits")


def record_cards(cards: Mapping[str, evaluation.Scorecard]) -> None:
    """What each adapter gained, how many of its answers keep every rule, and what strict JSON cost in plain text."""
    for name, card in cards.items():
        record(f"gain.{name}", card.gain, "nats lower on held-out topics")
        record(f"kept.{name}", 100 * card.trained.kept, "% of its answers keep every rule")
    record("forgetting.strict_json", cards["strict_json"].forgetting, "times the base's perplexity on general text")


def record_told(shares: Mapping[str, Mapping[str, float]]) -> None:
    """The best share that a prompt reached on each task."""
    for name, by_prompt in shares.items():
        best = max(by_prompt[asked] for asked in ASKED.values())
        record(f"told.{name}", 100 * best, "% with the better of the prompts (recorded)")


def record_mixed(mixed: Mapping[str, tuple[float, float]]) -> None:
    """The losses of each mixture on both tasks."""
    for name, (on_persona, on_plain) in mixed.items():
        record(f"mix.{name}.on_persona", on_persona, "nats on the persona's task")
        record(f"mix.{name}.on_plain_language", on_plain, "nats on plain language")


def record_survivors(rows: Sequence[Mapping[str, Any]]) -> None:
    """Right answers and KL of the ways that torch alone goes, as they were recorded."""
    for row in rows:
        if row["way"] in RECORDED:
            record(f"survives.{row['way']}.kept", 100 * row["kept"], f"% of answers: {survives.TITLES[row['way']]}")
            record(f"survives.{row['way']}.kl", row["kl"], "nats from the unmerged model")


def record_left(nf4: Mapping[float, float], bf16: Mapping[float, float], move: float, in_16: float) -> None:
    """What is left of an update in both formats, at some sizes; and merged before it is rounded to NF4."""
    record("left.nf4", 100 * nf4[1], "% of ΔW is left on a base in NF4")
    record("left.nf4_x16", 100 * nf4[16], "% of an update 16 times as large is left on a base in NF4")
    record("left.bf16", 100 * bf16[1], "% of ΔW is left on a base in bf16")
    record("left.bf16_small", 100 * bf16[1 / 16], "% of a sixteenth of ΔW is left on a base in bf16")
    record("left.merged_first", 100 * in_16, "% of ΔW is left: merged, then rounded to NF4")
    record("left.asked", 100 * move, "% of a step between two marks, the mean change of a weight")


def record_paths(by_path: Mapping[str, tuple[float, float]]) -> None:
    """How far each merge of a QLoRA training is from the unmerged model, and the loss of two of them."""
    for path, (apart, _) in by_path.items():
        record(f"path.{path}.kl", apart, f"nats: {PATHS[path]}")
    for path in ("dequantized", "original"):
        record(f"path.{path}.loss", by_path[path][1], "nats, held-out topics")
