"""What lesson 18 quotes of the recorded phone book: what each way and rank holds, and what is left of rank 64 when it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ...adapter import Adapter
from ...course import record, show
from ...experiments import capacity, recordings
from ...experiments.capacity.cells import CUT, ENTRIES, EPOCHS, HIGH, RANKS, WAYS
from ...lowrank import factors, svd_of_product
from ...tasks.scores.persona import CLOSING
from . import pictures

Run = Mapping[str, Any]


def chosen(runs: Mapping[str, Run]) -> list[Run]:
    """Of each setting the run at its best rate: trials of another rate held less."""
    best: dict[tuple[Any, ...], Run] = {}
    for run in runs.values():
        setting = tuple(run[name] for name in ("way", "r", "entries", "blocks", "seed", "longer"))
        if setting not in best or run["bits"] > best[setting]["bits"]:
            best[setting] = run
    return list(best.values())


def of(runs: Sequence[Run], way: str, r: int, entries: int = ENTRIES[-1]) -> list[Run]:
    """The seeds of one setting, on one block."""
    wanted = {"way": way, "r": r, "entries": entries, "blocks": 1, "longer": 1}
    return [run for run in runs if wanted.items() <= run.items()]


def on_largest(runs: Sequence[Run]) -> Iterator[tuple[str, int, list[Run]]]:
    """Each way and rank that is recorded on the largest book, with its seeds."""
    settings = ((way, r, of(runs, way, r)) for way in WAYS for r in RANKS)
    return (one for one in settings if one[-1])


def replay() -> list[Run]:
    """The recorded runs, a line each way and rank on the largest book, and their picture; or how to record them."""
    recording = capacity.recorded()
    if recording is None:
        print(f"Not recorded yet. To record it, in pieces if you like: {capacity.COMMAND}")
        return []
    runs = chosen(recording["runs"])
    print(recordings.when(recording))
    for way, r, seeds in on_largest(runs):
        recall, each = (mean(run[field] for run in seeds) for field in ("recall", "bits_a_number"))
        size = f"{seeds[0]['trained']:>7,} numbers"
        print(f"{way:<5} r = {r:<3}{size}: {recall:>4.0%} of {ENTRIES[-1]} said exactly, {each:.2f} bits a number")
    show(*pictures.filled(runs))
    return runs


def replay_cut(runs: Sequence[Run]) -> None:
    """What is left of rank 64 at each rank that it was cut to, beside what was trained at that rank."""
    high = of(runs, "B·A", HIGH)
    if not high:
        print("Rank 64 is not recorded yet.")
        return
    trained = {r: mean(run["bits"] for run in low) for r in (*RANKS, CUT) if (low := of(runs, "B·A", r))}
    cut = {int(r): mean(run["cut"][r]["bits"] for run in high) for r in high[0]["cut"]}
    show(*pictures.cut(cut, trained, HIGH, mean(run["bits"] for run in high)))


def record_live(found: Run) -> None:
    """What the adapter that was just trained holds."""
    record("live.exact", found["exact"], "of 32 numbers")
    record("live.bits", found["bits"], "bits")
    record("live.before", found["before"], "bits before training")
    record("live.bits_a_number", found["bits_a_number"], "bits a number")


def best_cut(B: Tensor, A: Tensor, r: int) -> tuple[Tensor, Tensor]:
    """B and A of the best rank-r approximation of B·A: the course's own solution of 18.2."""
    return factors(svd_of_product(B, A), r)


def cut_to(adapter: Adapter, cut: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]], r: int) -> Adapter:
    """`adapter` with each of its B·A cut to rank `r` by `cut`, at the same scale."""
    cuts = {layer: cut(adapter.B[layer], A, r) for layer, A in adapter.A.items()}
    B, A = ({layer: pair[which] for layer, pair in cuts.items()} for which in (0, 1))
    return adapter._replace(r=r, lora_alpha=adapter.lora_alpha * r / adapter.r, A=A, B=B)


def energy_kept(whole: Adapter, smaller: Adapter) -> float:
    """The share of ‖ΔW‖², over all layers, that is left."""
    return float(energies(smaller).sum() / energies(whole).sum())


def energies(adapter: Adapter) -> Tensor:
    """‖ΔW‖² in each of its directions, the strongest first, all layers together."""
    layers = ((adapter.scaling(layer), svd_of_product(adapter.B[layer], A).S) for layer, A in adapter.A.items())
    return torch.stack([(scaling * S).square() for scaling, S in layers]).sum(0)


def record_cut(adapter: Adapter, kept: float) -> None:
    """What is left of the persona at rank 2, and a picture of every rank."""
    record("cut.kept", kept, "of ‖ΔW‖², rank 8 cut to 2")
    by_rank = energies(adapter).cumsum(0)
    show(*pictures.kept_by_rank((by_rank / by_rank[-1]).tolist()))


def record_voice(answer: str) -> None:
    """Whether rank 1 still speaks as the whole adapter does."""
    record("cut.voice", answer.strip().endswith(CLOSING), "rank 1 ends as WICK's answers do")


def record_held(runs: Sequence[Run]) -> None:
    """Of each way and rank on the largest book: recall, its share of the book's bits, and bits a trained number, over seeds."""
    record("passes", EPOCHS, "times each entry is seen, recorded")
    keys = dict(zip(WAYS, ("ba", "mask"), strict=True))
    for way, r, seeds in on_largest(runs):
        setting = f"{keys[way]}.{r}"
        record(f"{setting}.recall", mean(run["recall"] for run in seeds), "of numbers, recorded")
        record(f"{setting}.share", mean(map(share, seeds)), "of the book's bits, recorded")
        record(f"{setting}.bits", mean(run["bits_a_number"] for run in seeds), "bits a number, recorded")


def share(run: Run) -> float:
    """The share of its book's bits that a run holds."""
    return float(run["bits"]) / (run["entries"] * capacity.BITS)


def record_cuts(runs: Sequence[Run]) -> None:
    """Of the largest book: what rank 64 holds, whole and at each rank that it was cut to."""
    for high in of(runs, "B·A", HIGH):
        record("high.share", share(high), "of the book's bits, rank 64, recorded")
        for r in (CUT, *RANKS[2:]):
            cut = {**high, **high["cut"][str(r)]}
            record(f"high.cut.{r}", share(cut), f"of the book's bits, cut to {r}, recorded")
