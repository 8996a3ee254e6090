"""What lesson 18 quotes of the recorded phone book: what each way and rank holds,
and what is left of rank 64 when it is cut.

And what it measures: what was just trained, what WICK's answers ask of a rank,
and what is left of his adapter when it is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from ...adapter import Adapter
from ...course import record, show
from ...experiments import capacity, recordings, sweep
from ...experiments.capacity.cells import BATCH, CUT, CUTS, ENTRIES, EPOCHS, HIGH, LONGER, RANKS, TUNED_AT, WAYS
from ...lowrank import factors, svd_of_product
from ...tasks.scores.persona import CLOSING
from . import pictures

Run = Mapping[str, Any]
LARGEST = ENTRIES[-1]
# Another rate at which rank 64 learned the largest book nearly as well.
SLOWER = 3e-3


def of(runs: Iterable[Run], way: str, r: int, entries: int = LARGEST, longer: int = 1) -> list[Run]:
    """The seeds of one setting, on one block, each at its best rate: trials of another rate held less."""
    wanted = {"way": way, "r": r, "entries": entries, "blocks": 1, "longer": longer}
    best: dict[int, Run] = {}
    for run in runs:
        seed = run["seed"]
        if wanted.items() <= run.items() and (seed not in best or run["bits"] > best[seed]["bits"]):
            best[seed] = run
    return list(best.values())


def by_rank(runs: Sequence[Run], way: str, entries: int = LARGEST, longer: int = 1) -> Iterator[tuple[int, list[Run]]]:
    """Each rank of a way that is recorded on a book, with its seeds."""
    return ((r, seeds) for r in RANKS if (seeds := of(runs, way, r, entries, longer)))


def share(run: Run) -> float:
    """The share of its book's bits that a run holds."""
    return float(run["bits"]) / (run["entries"] * capacity.BITS)


def held(seeds: Sequence[Run]) -> pictures.Held:
    """What one setting was asked and what it held, the mean over its seeds."""
    entries, trained = seeds[0]["entries"], seeds[0]["trained"]
    return pictures.Held(entries, entries * capacity.BITS / trained, mean(map(share, seeds)))


def replay() -> list[Run]:
    """The recorded runs, a line each way and rank on the largest book, and their picture; or how to record them."""
    recording = recordings.recorded_if_any(capacity.NAME)
    if recording is None:
        print(f"Not recorded yet. To record it, in pieces if you like: {capacity.COMMAND}")
        return []
    runs = list(recording["runs"].values())
    print(recordings.when(recording))
    print(f"Of {LARGEST} phone numbers:")
    for way in WAYS:
        for r, seeds in by_rank(runs, way):
            exact, each = (mean(run[field] for run in seeds) for field in ("recall", "bits_a_number"))
            size = f"{seeds[0]['trained']:>7,} trained numbers"
            print(f"{way:<5} r = {r:<3}{size}: {exact:>4.0%} said exactly, {each:.2f} bits per trained number")
    lines: dict[int, list[pictures.Held]] = {}
    for entries in ENTRIES:
        for r, seeds in by_rank(runs, "B·A", entries):
            lines.setdefault(r, []).append(held(seeds))
    show(*pictures.filled(lines, {r: held(seeds) for r, seeds in by_rank(runs, "mask")}))
    return runs


def replay_cut(runs: Sequence[Run]) -> None:
    """What is left of rank 64 at each rank that it was cut to, beside what was trained at that rank."""
    high = of(runs, "B·A", HIGH)
    if not high:
        print("Rank 64 is not recorded yet.")
        return
    trained = {r: mean(map(share, low)) for r in (*RANKS, CUT) if (low := of(runs, "B·A", r))}
    cut = {r: mean(share(at_rank(run, r)) for run in high) for r in CUTS}
    show(*pictures.cut(cut, trained, HIGH, mean(map(share, high))))


def at_rank(run: Run, r: int) -> Run:
    """A run as it was once its B·A was cut to rank `r`."""
    return {**run, **run["cut"][str(r)]}


def record_live(found: Run) -> None:
    """What the adapter holds that was just trained on the smallest book."""
    record("live.exact", found["exact"], "of 32 phone numbers")
    record("live.bits", found["bits"], "bits")
    record("live.before", found["before"], "bits before training")
    record("live.share", share({**found, "entries": ENTRIES[0]}), "of the book's bits")


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


def voice(answers: Sequence[str]) -> float:
    """The share of answers that end as WICK's do; his other rules are not asked."""
    return mean(answer.strip().endswith(CLOSING) for answer in answers)


def record_cuts(adapter: Adapter, found: Mapping[int, tuple[float, float]]) -> None:
    """Of each rank that WICK's adapter was cut to: ‖ΔW‖² that is left, and the answers that end as his do."""
    record("cut.matrices", len(adapter.A), "matrices")
    for r, (kept, voice) in found.items():
        record(f"cut.{r}.kept", kept, "of ‖ΔW‖²")
        record(f"cut.{r}.voice", voice, "of answers end as WICK's do")


def persona_at(r: int) -> tuple[float, float, int]:
    """Lesson 05's recorded sweep at one rank, α = 16: the loss at step 1, which is the base's, and the held-out loss
    after training, both in nats and means over the seeds; and how many numbers were trained.
    """
    (trial,) = sweep.grid((r,), ("16",), seeds=1)
    runs = sweep.by_setting(sweep.read_table(sweep.recorded()))[trial]
    return (
        mean(run["train_losses"][0] for run in runs),
        mean(run["loss_held_out"] for run in runs),
        runs[0]["trainable"],
    )


def record_persona(tokens: int, bits: float, trained: int) -> None:
    """What WICK's training answers ask of a rank, as an estimate."""
    record("persona.tokens", tokens, "tokens of 96 answers")
    record("persona.asked", bits, "bits")
    record("persona.load", bits / trained, "bits asked per trained number, rank 1")


def record_held(runs: Sequence[Run]) -> None:
    """Passes over each book; the share of its bits that B·A holds; on the largest its bits per trained number, and the
    share that the mask holds, and B·A trained longer where it was.
    """
    for entries in ENTRIES:
        record(f"passes.{entries}", capacity.BookRun("B·A", 1, entries).steps * BATCH // entries, "passes, recorded")
        for r, seeds in by_rank(runs, "B·A", entries):
            record(f"ba.{r}.of_{entries}", mean(map(share, seeds)), f"of the bits of {entries} entries, recorded")
    for r, seeds in by_rank(runs, "B·A"):
        record(f"ba.{r}.bits", mean(run["bits_a_number"] for run in seeds), "bits per trained number, recorded")
    for name, way, times in (("mask", "mask", 1), ("longer", "B·A", LONGER)):
        for r, seeds in by_rank(runs, way, longer=times):
            record(
                f"{name}.{r}.share", mean(map(share, seeds)), f"of the book's bits, {times * EPOCHS} passes, recorded"
            )


def record_high(runs: Sequence[Run]) -> None:
    """What rank 64 holds, whole and at each rank that it was cut to: on the largest book, at its other rate,
    on a smaller book."""
    if high := of(runs, "B·A", HIGH):
        record("high.share", mean(map(share, high)), "of the book's bits, rank 64, recorded")
        for r in CUTS:
            left = mean(share(at_rank(run, r)) for run in high)
            record(f"high.cut.{r}", left, f"of the book's bits, cut to {r}, recorded")
    for slower in of([run for run in runs if run["rate"] == SLOWER], "B·A", HIGH):
        record("slower.share", share(slower), f"of the book's bits, rank 64 at {SLOWER:g}, recorded")
        record("slower.cut.8", at_rank(slower, CUT)["bits"], "bits, that cut to 8, recorded")
    for small in of(runs, "B·A", HIGH, TUNED_AT):
        left = share(at_rank(small, 16))
        record(f"high.{TUNED_AT}.cut.16", left, f"of the bits of {TUNED_AT} entries, cut to 16, recorded")
