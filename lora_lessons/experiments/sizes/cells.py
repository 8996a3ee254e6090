"""What is asked of which base: the sizes, the claims with their ways, and the cells, and what was measured so far.

A cell is one measurement: a claim, one of its ways, a size and a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...models import EMBEDDED, NAMED

STEPS, BATCH, R, ALPHA = 24, 4, 8, 16  # every training's, as in lessons 03, 05 and 07
SEEDS = (0, 1, 2)
RANKS = (1, 8, 64)  # that ΔW is cut to, and LoRA trained at
# Numbers that a cut W is stored in, as a share of its own.
STORED = (0.5, 1.0)


class AskedBase(NamedTuple):
    """A base that the claims are asked of: a column of the table."""

    name: str  # what models.load takes
    title: str
    family: str
    rounded: str  # how its weights were rounded before they came to us; "" for never
    weights: int
    rate: float  # LoRA's learning rate at r = 8, α = 16
    full: float | None  # full fine-tuning's; None where it is not done

    @property
    def why_not_full(self) -> str:
        """Why full fine-tuning is not done at this size; "" where it is."""
        state = 16 * self.weights / 1e9  # fp32: weights, gradients and AdamW's two moments
        return "" if self.full else f"not here: {state:.0f} GB"


def _qwen(name: str, title: str, rate: float, full: float | None) -> AskedBase:
    return AskedBase(name, title, "Qwen2.5-Coder", "Q4_K_M", NAMED[name].unpacked // 2, rate, full)


# Another column is another line: with a card and a hub, AskedBase("Qwen/Qwen2.5-7B-Instruct", "7B", "Qwen2.5", "",
# 7_615_616_512, …).
SIZES = {
    size.name: size
    for size in (
        AskedBase(EMBEDDED, "135M", "SmolLM2", "Q4_1", 134_515_008, 4e-3, 2e-4),
        _qwen("qwen2.5-coder-0.5b", "0.5B", 2e-3, 1.5e-5),
        _qwen("qwen2.5-coder-1.5b", "1.5B", 1e-3, None),
    )
}

Settings = Mapping[str, Any]


class Question(NamedTuple):
    """What is asked, and the ways that are measured for it, each with its settings."""

    asks: str
    lesson: str
    ways: Mapping[str, Settings]
    seconds: float  # of a way at 135M, a guess until one was measured
    trains: bool = True  # without a training there is nothing that a seed draws
    seeds: int = len(SEEDS)  # the most


def lora_way(r: int, lora_alpha: int) -> str:
    """What a rank and an α are called among the ways."""
    return f"r={r}, α={lora_alpha}"


_ALPHAS = [(r, alpha) for r in (8, 64, 1) for alpha in dict.fromkeys((ALPHA, 2 * r))]
CLAIMS: dict[str, Question] = {
    "delta": Question(
        "what full fine-tuning's ΔW is made of, and what is left of it when it is cut",
        "03",
        {"": {"full": True}},
        90,
    ),
    "rank": Question(
        "rank 1, 8 and 64, at α = 16 and at α = 2r",
        "05",
        {lora_way(*ra): dict(zip(("r", "lora_alpha"), ra, strict=True)) for ra in _ALPHAS},
        25,
    ),
    "base4": Question(
        "LoRA on a base in 16 bits, NF4, FP4 and int4",
        "07",
        {form: {"base": form} for form in ("16-bit", "nf4+double", "fp4", "int4")},
        45,
    ),
    "merge": Question("what is left of an adapter that is merged", "09", {"": {}}, 90),
    "forget": Question(
        "plain English and format drift after training",
        "09",
        {"base": {"trained": False}, "LoRA": {"trained": True}},
        35,
    ),
    "cut_w": Question("perplexity when every W is cut", "01", {"": {}}, 25, trains=False),
    "formats": Question("perplexity when every W is rounded by a format", "10", {"": {}}, 60, trains=False),
    "memory": Question(
        "predicted and measured memory of a training step",
        "08",
        {"LoRA": {"method": "lora"}, "QLoRA": {"method": "qlora"}},
        25,
        trains=False,
    ),
}


class Cell(NamedTuple):
    """One measurement."""

    size: AskedBase
    claim: str
    way: str
    seed: int

    @property
    def settings(self) -> Settings:
        """Of its way."""
        return CLAIMS[self.claim].ways[self.way]

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What it is found by in a record."""
        return self.claim, self.size.name, self.way, self.seed

    def __str__(self) -> str:
        seed = f"seed {self.seed}" if _drawn(self.claim, self.way) else ""
        return ", ".join(filter(None, (self.size.title, self.claim, self.way, seed)))

    def how(self, steps: int = STEPS) -> dict[str, Any]:
        """What its result depends on, as it is recorded: where that changes, the cell is open again."""
        how = dict(self.settings)
        if _drawn(self.claim, self.way):
            own = self.size.full if how.get("full") else self.size.rate
            how = {"steps": steps, "batch_size": BATCH, "r": R, "lora_alpha": ALPHA, "rate": own} | how
        return how


def _drawn(claim: str, way: str) -> bool:
    """Whether a seed draws something in this way of the claim."""
    return CLAIMS[claim].trains and CLAIMS[claim].ways[way].get("trained", True)


def can(size: AskedBase, settings: Settings) -> bool:
    """Whether a way is gone at this size."""
    return not settings.get("full") or size.full is not None


def of(size: AskedBase, claims: Iterable[str] = CLAIMS, seeds: Sequence[int] = SEEDS) -> Iterator[Cell]:
    """The cells of a size, claim by claim and seed by seed."""
    for claim in claims:
        for seed in (one for one in seeds if one < CLAIMS[claim].seeds):
            for way, settings in CLAIMS[claim].ways.items():
                if can(size, settings) and (seed == 0 or _drawn(claim, way)):
                    yield Cell(size, claim, way, seed)


NAME = "sizes"
Row = dict[str, Any]


def key(row: Row) -> tuple[str, str, str, int]:
    """What a cell is found by."""
    return row["claim"], row["size"], row["way"], row["seed"]


def done(rows: Sequence[Row], steps: int = STEPS) -> dict[tuple[str, str, str, int], Row]:
    """The rows that were measured as they would be today, by their cells' keys."""
    as_today = {cell.key: cell.how(steps) for size in SIZES.values() for cell in of(size)}
    return {key(row): row for row in rows if as_today.get(key(row)) == row["how"]}
