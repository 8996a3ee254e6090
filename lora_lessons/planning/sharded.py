"""What each of several cards holds when FSDP shards the model, what their computer holds beside it,
and all of it in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..memory import tape
from ..memory.bill import CONTEXT_BYTES, GB, GIB, LINES, Bill
from ..memory.build import skeleton
from ..memory.job import DTYPES, Job, Shape, shape_of
from ..memory.prediction import check, predict
from .cards import cards_of, find_card
from .fit import PEAKS, describe, parameters, validated
from .margin import WHY, fits, is_enough, margin

# Blocks that are whole at once: the one in use, and the next, which is on its way (backward_prefetch=BACKWARD_PRE).
WHOLE_BLOCKS = 2
# Of the tensors' bytes, what PyTorch's allocator cannot hand out again while FSDP takes and frees whole blocks:
# Answer.AI published 10.22 GiB reserved for 9.16 allocated (a 7B, their benchmarks of March 2024). Assumed,
# like the next.
FSDP_SLACK = 0.12
# How many times their plan the five published runs with offload held on a card, the least and the most
# (deeper/08_many_cards,
# which has one without offload, too: it held 1.09 times its plan).
OFFLOADED = (1.2, 2.5)
# Assumed, until a card has been measured: what Python, its libraries and CUDA take of the computer for each process.
PROCESS_BYTES = 2 * GB


@dataclass(frozen=True)
class Cluster:
    """Cards of one kind, spread evenly over `nodes` computers. Raises ValueError for what cannot be."""

    cards: int
    room: float  # bytes of each card
    offload: bool = False  # shards wait in the computer's memory until they are used (FSDP's cpu_offload)
    nodes: int = 1
    fsdp: int = 2  # its version

    def __post_init__(self) -> None:
        for name, least in (("cards", 2), ("nodes", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1024:
                raise ValueError(f"{name} = {value!r}: give a whole number from {least} to 1,024, such as 2.")
        if self.fsdp not in (1, 2):
            raise ValueError(f"fsdp = {self.fsdp!r}: PyTorch has FSDP1 and FSDP2, so give 1 or 2.")
        if self.cards % self.nodes:
            raise ValueError(
                f"{self.cards} cards do not spread evenly over {self.nodes} nodes: give a multiple of them."
            )

    @property
    def cards_per_node(self) -> int:
        return self.cards // self.nodes


def cluster_of(said: str, offload: bool = False, nodes: int = 1, fsdp: int = 2) -> Cluster:
    """The cluster that "2x24" means: two cards sold as 24 GB; or "4xA100 40". Raises ValueError for what is neither."""
    cards, card = cards_of(said)
    return Cluster(cards, find_card(card)[1], offload, nodes, fsdp)


class CardBill(NamedTuple):
    """Bytes on each card at one moment of a step; `total` is their sum."""

    shards: float  # its part of weights, adapters, gradients and moments
    scales: float  # NF4's scales
    gathered: float  # what is whole for a while
    activations: float
    logits: float
    working: float
    overhead: float = 0.0

    @property
    def total(self) -> float:
        return sum(self)


class HostBill(NamedTuple):
    """Bytes in the memory of each computer; `total` while it trains, `peak` at its highest, when training starts."""

    shards: float  # of its cards, pinned so that they travel fast
    gradients: float  # under FSDP1 a place for the gradient of every shard, frozen or not
    moments: float
    processes: float
    at_start: float  # and is gone after the first step

    @property
    def total(self) -> float:
        return sum(self) - self.at_start

    @property
    def peak(self) -> float:
        return sum(self)


class Sharded(NamedTuple):
    """The plan of a job for a cluster: each card at its fullest moment, which moment that is, and each computer."""

    job: Job
    cluster: Cluster
    moment: str
    moments: dict[str, CardBill]
    host: HostBill
    unshared: float  # bytes of each card that neither more cards nor the computer's memory would take off it

    @property
    def card(self) -> CardBill:
        return self.moments[self.moment]

    @property
    def free(self) -> float:
        """Bytes that stay free on each card; below 0, what is missing."""
        return self.cluster.room - self.card.total

    @property
    def fits(self) -> bool:
        return is_enough(self.cluster.room, self.card.total)


def shard(model: Any, job: Job, cluster: Cluster) -> Sharded:
    """The plan of training `model` (see `shape_of`) as `job` says; batch_size and seq are those of each card.

    Raises as `predict` does, and ValueError for a job that FSDP refuses.
    """
    if job.method == "qlora" and job.recipe == "hf":
        raise ValueError(
            "prepare_model_for_kbit_training turns embeddings, head and norms into 32 bits, and FSDP flattens a "
            "block's weights into one tensor of one dtype: plan it with the recipe course."
        )
    shape, job = shape_of(model), replace(job, fast=False)  # several processes go the plain way (training.losses)
    blocks, moments = check(shape, job).blocks, predict(shape, job).moments
    gradients = max(bill.gradients for bill in moments.values()) / blocks
    cards = {name: _card(bill, blocks, gradients, cluster, name) for name, bill in moments.items()}
    fullest = max(cards, key=lambda name: cards[name].total)
    alone = cluster.fsdp == 1 or job.recipe != "course"
    host = _host(moments["forward"], _pinned(shape, job, blocks, cluster), cluster, alone)
    away = replace(cluster, offload=True)
    unshared = max(_card(bill, blocks, gradients, away, name).total for name, bill in moments.items())
    return Sharded(job, cluster, fullest, cards, host, unshared)


def _card(bill: Bill, blocks: int, gradients: float, cluster: Cluster, moment: str) -> CardBill:
    """`bill` of one card, sharded; `gradients`: bytes of one block's gradients, whole."""
    steps = moment == "optimizer step"
    part = 0.0 if cluster.offload else 1 / cluster.cards
    kept = bill.base + bill.rest + bill.adapters + bill.gradients + bill.optimizer
    gathered = 0.0 if steps else _gathered(bill, blocks, gradients, cluster)
    working = bill.working * part if steps else bill.working
    made = CardBill(part * kept, bill.quantization, gathered, bill.activations, bill.logits, working)
    return made._replace(overhead=CONTEXT_BYTES + FSDP_SLACK * made.total)


def _gathered(bill: Bill, blocks: int, gradients: float, cluster: Cluster) -> float:
    """Whole for a while: embeddings and head all through the step (FSDP does not free its root), and two blocks.

    On the way back also the gradients of the block in use, before each card keeps its part of their sum.
    """
    block = (bill.base + bill.adapters) / blocks
    arriving = (
        block / cluster.cards if cluster.offload else 0.0
    )  # its own shard of the next one, on the way to the others
    return bill.rest + min(WHOLE_BLOCKS, blocks) * block + arriving + (gradients if bill.gradients else 0.0)


def _host(bill: Bill, pinned: float, cluster: Cluster, alone: bool) -> HostBill:
    """What each computer holds; `pinned`: bytes of one card's shards of the base there.

    FSDP1 pins a gradient of each shard's size even where nothing trains (torch.distributed.fsdp,
    FlatParamHandle.init_flat_param_attributes), and lets the unpinned shard go after the first step. One process of
    each computer reads the whole base (`alone`) under FSDP1, and by accelerate's and TRL's files for FSDP2
    (cpu_ram_efficient_loading); by the course's launcher every process does, because each packs its part itself.
    """
    here, part = cluster.cards_per_node, cluster.cards_per_node / cluster.cards
    weights, processes = bill.base + bill.rest + bill.adapters, here * PROCESS_BYTES
    trained = bill.adapters or weights
    whole = (1 if alone else here) * (weights + bill.quantization)
    if not cluster.offload:
        return HostBill(0.0, 0.0, 0.0, processes, whole)
    shards, moments = here * pinned + part * bill.adapters, part * bill.optimizer
    if cluster.fsdp == 1:
        return HostBill(shards, shards, moments, processes, part * weights)
    return HostBill(shards, part * trained, moments, processes, max(0.0, whole - shards))


def _pinned(shape: Shape, job: Job, blocks: int, cluster: Cluster) -> float:
    """Bytes that one card's shards of the base take in pinned memory.

    FSDP1 glues the weights of a block into one, FSDP2 shards each by itself; PyTorch rounds a piece of pinned memory up
    to a power of two (CachingHostAllocator).
    """
    net = skeleton(shape, DTYPES[job.dtype], blocks=1)
    inside = {id(p) for p in tape.blocks(net)[0].parameters()}
    packed = 0.25 if job.method == "qlora" else 1.0  # 4 bits of 16
    block = [p.nbytes * (packed if p.ndim > 1 else 1.0) for p in net.parameters() if id(p) in inside]
    root = [p.nbytes for p in net.parameters() if id(p) not in inside]
    if cluster.fsdp == 1:
        block, root = [sum(block)], [sum(root)]
    return sum(_power_of_two(size / cluster.cards) for size in [*(blocks * block), *root])


def _power_of_two(size: float) -> float:
    return float(2 ** (int(size) - 1).bit_length()) if size >= 1 else 0.0


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
        "activations": (LINES["activations"], f"{kept}, of this card's texts alone"),
        "logits": (LINES["logits"], "a score for every token and word, of this card's texts alone"),
        "working": (LINES["working"], ", ".join(working) or "what lives for a moment"),
        "overhead": (
            LINES["overhead"],
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
    rows += [_row("total", plan.card.total, ""), _row("margin", margin(plan.card.total), WHY)]
    rows += [f"The memory of {_computers(plan.cluster)}"]
    rows += _rows(plan.host, _host_lines(plan.job))
    return "\n".join(
        [*rows, _row("total while it trains", plan.host.total, ""), _row("at the start", plan.host.peak, "")]
    )


def _rows(bill: CardBill | HostBill, lines: dict[str, tuple[str, str]]) -> list[str]:
    sizes = bill._asdict()
    return [_row(name, sizes[field], how) for field, (name, how) in lines.items() if sizes[field] > 0.5e6]


def _row(name: str, size: float, how: str) -> str:
    return f"  {name:<22}{size / GB:>7.2f} GB   {how}".rstrip()


def offloaded(plan: Sharded) -> str:
    """What the published runs with offload say of such a plan; "" without offload."""
    if not plan.cluster.offload:
        return ""
    least, most = (f"{times * plan.card.total / GB:.0f}" for times in OFFLOADED)
    return (
        f"With offload the published runs held {OFFLOADED[0]} to {OFFLOADED[1]} times their plan on a card "
        f"(08_many_cards), which no margin here covers: expect {least} to {most} GB."
    )


def sharded_verdict(plan: Sharded) -> str:
    """Whether it fits on the cards, by how much, what the computer needs, and whether a card ever checked:
    sentences."""
    host = (
        f"The memory of {_computers(plan.cluster)}: {plan.host.total / GB:.0f} GB, at the start "
        f"{plan.host.peak / GB:.0f} GB"
    )
    says = [fits(plan.card.total, plan.cluster.room, "Each card"), f"{host}."]
    if not plan.fits and is_enough(plan.cluster.room, plan.unshared):
        says.append("Change first: --offload, which keeps the shards in the computer's memory; or more cards.")
    elif not plan.fits:
        nor = "" if plan.cluster.offload else " nor with --offload"
        says.append(
            f"Change first: shorter texts or fewer in a batch, since what is left does not shrink with more cards{nor}."
        )
    return " ".join(filter(None, [*says, offloaded(plan), validated()]))


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
        "parameters": parameters(shape, job),
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
