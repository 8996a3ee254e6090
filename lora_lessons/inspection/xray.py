"""What an inspection finds, as plain values: the settings, the matrices, the findings, and which runtimes load the adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from .measures import AdaptedMatrix
from .settings import AdapterSettings

# wrong: the adapter does not do what it was made for. look: it may be meant so. note: worth knowing before it is used.
Severity = Literal["wrong", "look", "note"]
# care: it loads, and computes something else unless you do what the reason says.
Loads = Literal["yes", "care", "no", "unknown"]


class Finding(NamedTuple):
    """One thing that was found, as a sentence, and the thread, paper or lesson behind it."""

    code: str
    severity: Severity
    sentence: str
    behind: str = ""


class Runtime(NamedTuple):
    """Whether a program that serves adapters loads this one, and why."""

    name: str
    loads: Loads
    reason: str
    behind: str = ""


class Size(NamedTuple):
    """What the weights' file holds, in bytes: A and B, whole embedding matrices, and anything else."""

    file: int
    lora: int
    embeddings: int
    others: int
    # of the tensors, such as ("F32",)
    dtypes: tuple[str, ...]
    numbers: int


class AgainstBase(NamedTuple):
    """What the base has to say of the adapter; only with a base."""

    name: str
    place: Path
    tied: bool
    vocabulary: int | None
    # ‖ΔW‖/‖W‖ of the matrix in the middle, and the largest.
    ratio: float | None
    largest_ratio: float | None
    # Modules of the adapter that the base lacks, and modules whose ΔW, or what is saved whole, has another shape than W.
    lacking: tuple[str, ...]
    other_shapes: tuple[str, ...]
    # Linear layers of the base that carry no A and B, by their last name: how many.
    not_adapted: dict[str, int]
    # Weights of experts that no adapter reaches, name → numbers.
    left_out: dict[str, int]
    # Its weights that hold NaN or infinity, among those that are adapted.
    not_finite: tuple[str, ...]
    # (new directions, directions looked at) in the matrices that change most: Shuttleworth et al. 2024.
    intruders: tuple[int, int] | None
    # Perplexity on general text without and with the adapter, where it was asked for.
    perplexity: tuple[float, float] | None = None
    # Why the course's own exporters write no GGUF of this base; "" where they do.
    not_exported: str = ""
    # Modules that the adapter gives a bias and the base has none in: PEFT cannot merge it.
    without_bias: tuple[str, ...] = ()
    # Whether its weights are packed by bitsandbytes.
    in_bitsandbytes: bool = False


class Xray(NamedTuple):
    """An adapter seen through: what it says, what its numbers are, and what follows."""

    name: str
    place: str
    settings: AdapterSettings
    matrices: tuple[AdaptedMatrix, ...]
    findings: tuple[Finding, ...]
    runtimes: tuple[Runtime, ...]
    size: Size
    # PEFT's features that it uses, in PEFT's names.
    features: tuple[str, ...]
    base: AgainstBase | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its findings, each once."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def scales(self) -> tuple[float, ...]:
        """The factors before B·A, each once, ascending; empty where it is no LoRA."""
        return tuple(sorted({matrix.scale for matrix in self.matrices}))
