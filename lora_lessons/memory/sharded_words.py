"""The plan for several cards in words: each line with how it is worked out, whether it fits, and all of it as plain data."""

from __future__ import annotations

from typing import Any

from .bill import CONTEXT_BYTES, GB, GIB
from .job import Job, Shape
from .sharded import FSDP_SLACK, PROCESS_BYTES, WHOLE_BLOCKS, CardBill, Cluster, HostBill, Sharded
from .words import PEAKS, describe, fits, validated


def _card_lines(job: Job) -> dict[str, tuple[str, str]]:
    """Each line of a card's bill: its name, and how it is worked out for `job`."""
    packed, again = job.method == "qlora", job.gradient_checkpointing
    kept = "each block's input" if again else "what the way back needs"
    working = ["a block computed again"] * again + ["a weight back in 16 bits"] * packed
    return {
        "shards": ("shards", "weights, adapters, gradients and moments, divided by the cards"),
        "scales": ("NF4's scales", "whole on every card: FSDP divides parameters, and scales are none"),
        "gathered": (
            "whole for a while",
            f"embeddings and head all through the step, and {WHOLE_BLOCKS} blocks{' in 4 bits' * packed}",
        ),
        "activations": ("activations", f"{kept}, of this card's texts alone"),
        "logits": ("logits and loss", "a score for every token and word, of this card's texts alone"),
        "working": ("working memory", ", ".join(working) or "what lives for a moment"),
        "overhead": (
            "context and slack",
            f"assumed: {CONTEXT_BYTES / GB:g} GB for CUDA and {FSDP_SLACK:.0%} of the rest",
        ),
    }


def _host_lines(job: Job) -> dict[str, tuple[str, str]]:
    """The same for a computer's bill."""
    each, they = ("every weight", "the weights") if job.method == "full" else ("the adapter", "the adapters")
    return {
        "shards": ("shards", "of its cards, pinned: each rounded up to a power of two"),
        "gradients": ("gradients", f"FSDP1 keeps a place for every shard's, frozen or not; FSDP2 for {each}'s"),
        "moments": ("AdamW's moments", f"of {they}"),
        "processes": ("processes", f"assumed: {PROCESS_BYTES / GB:g} GB for each card's process"),
        "at_start": ("only at the start", "the whole model, or the shards before they are pinned"),
    }


def sharded_table(plan: Sharded) -> str:
    """The plan as lines of text in GB: what each card holds, then each computer, and how each line is worked out."""
    rows = [f"Each of {_cards(plan.cluster)}, {PEAKS[plan.moment]}"]
    rows += _rows(plan.card, _card_lines(plan.job))
    rows += [_row("total", plan.card.total, ""), f"The memory of {_computers(plan.cluster)}"]
    rows += _rows(plan.host, _host_lines(plan.job))
    return "\n".join(
        [*rows, _row("total while it trains", plan.host.total, ""), _row("at the start", plan.host.peak, "")]
    )


def _rows(bill: CardBill | HostBill, lines: dict[str, tuple[str, str]]) -> list[str]:
    sizes = bill._asdict()
    return [_row(name, sizes[field], how) for field, (name, how) in lines.items() if sizes[field] > 0.5e6]


def _row(name: str, size: float, how: str) -> str:
    return f"  {name:<22}{size / GB:>7.2f} GB   {how}".rstrip()


def sharded_verdict(plan: Sharded) -> str:
    """Whether it fits on the cards, by how much, what the computer needs, and whether a card ever checked: sentences."""
    host = f"The memory of {_computers(plan.cluster)}: {plan.host.total / GB:.0f} GB, at the start {plan.host.peak / GB:.0f} GB"
    says = [fits(plan.card.total, plan.cluster.room, "Each card"), f"{host}."]
    if not plan.fits and plan.unshared <= plan.cluster.room:
        says.append("Change first: --offload, which keeps the shards in the computer's memory; or more cards.")
    elif not plan.fits:
        nor = "" if plan.cluster.offload else " nor with --offload"
        says.append(
            f"Change first: shorter texts or fewer in a batch, since what is left does not shrink with more cards{nor}."
        )
    return " ".join([*says, validated()])


def _cards(cluster: Cluster) -> str:
    where = f" on {cluster.nodes} computers" if cluster.nodes > 1 else ""
    how = "with offload" if cluster.offload else "without offload"
    return f"{cluster.cards} cards of {cluster.room / GIB:g} GB{where}, FSDP{cluster.fsdp} {how}"


def _computers(cluster: Cluster) -> str:
    return f"each of {cluster.nodes} computers" if cluster.nodes > 1 else "the computer"


def sharded_as_json(shape: Shape, job: Job, plan: Sharded) -> dict[str, Any]:
    """All of it as plain data, sizes in bytes."""

    def lines(bill: CardBill | HostBill) -> dict[str, int]:
        return {name: round(size) for name, size in (bill._asdict() | {"total": bill.total}).items()}

    return {
        "model": shape.name,
        "job": job.counted(),
        "said": describe(job),
        "cards": plan.cluster.cards,
        "nodes": plan.cluster.nodes,
        "offload": plan.cluster.offload,
        "fsdp": plan.cluster.fsdp,
        "room": round(plan.cluster.room),
        "moment": plan.moment,
        "card": lines(plan.card),
        "host": lines(plan.host) | {"peak": round(plan.host.peak)},
        "fits": plan.fits,
        "free": round(plan.free),
    }
