"""What an inspection finds, as plain values.

What one pair of A (r×k) and B (d×r) says of its update, worked out on r×r numbers; and where configuration, file and
base disagree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from .reading import AdapterFolder, odd_keys
from .settings import AdapterSettings

# wrong: the adapter does not do what it was made for. look: it may be meant so. note: worth knowing before it is used.
Severity = Literal["wrong", "look", "note"]
# care: it loads, and computes something else unless you do what the reason says. depends: on the base,
# of which only the name is known.
Loads = Literal["yes", "care", "no", "depends", "unknown"]
# Whether a program loads an adapter, why, and where that was read.
Answer = tuple[Loads, str, str]


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
    # Modules of the adapter that the base lacks, and modules whose ΔW, or what is saved whole,
    # has another shape than W.
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
    # Whether it has modules that the adapter's targets mean and its file has nothing for: PEFT warns of those,
    # and of no others.
    unfilled: bool = True
    # What builds the model that has the adapter's modules, where a base has two: the language model,
    # and the larger one around it.
    built_by: str = ""


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


# Bits of the fraction that each format keeps, the leading one included: one rounding is at most 2 to the minus these.
_BITS = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24, torch.float64: 53}

LARGEST = torch.finfo(torch.float32).max


class AdaptedMatrix(NamedTuple):
    """One adapted matrix. What needs the base's own W is None until `with_base` has seen it."""

    module: str
    r: int
    # d and k of ΔW; of each expert, where a stack of them is adapted.
    d: int
    k: int
    experts: int
    on_embedding: bool
    scale: float
    # ‖ΔW‖ (Frobenius, the scale counted), None where a number is not finite in 32 bits.
    norm: float | None
    # ‖ΔW‖²/σ₁² (stable rank, Rudelson and Vershynin 2007): how many directions as strong as the strongest.
    stable_rank: float | None
    # exp of the entropy of σ/Σσ (effective rank, Roy and Vetterli 2007): how many directions take part at all.
    effective_rank: float | None
    finite: bool
    a_zero: bool
    b_zero: bool
    # The largest number of A against the bound of PEFT's usual start, 1/√k: up to 1, A may still be where it began.
    a_reach: float | None
    # The root mean square of A against that of the same start, 1/√(3k); None where it began otherwise.
    a_growth: float | None
    # The share of the numbers in A and B that are exactly zero, where neither is zero as a whole.
    zeros: float
    ratio: float | None = None  # ‖ΔW‖/‖W‖
    intruders: int | None = None  # of the leading directions of W + ΔW, those that W has not

    @property
    def moves(self) -> bool:
        """Whether it changes anything at all."""
        return bool(self.norm)


@torch.no_grad()
def measure(
    module: str, A: Tensor, B: Tensor, scale: float, experts: int = 1, on_embedding: bool = False
) -> AdaptedMatrix:
    """The measures of one pair; a convolution's A and B are read as matrices, `experts` lie stacked as PEFT keeps them.

    Raises ValueError naming the module when A and B do not belong together.
    """
    bits = _BITS.get(A.dtype, 24)
    A, B = A.flatten(1).double(), B.flatten(1).double()
    if A.shape[0] != B.shape[1]:
        raise ValueError(
            f"{module}: A is {A.shape[0]}×{A.shape[1]} and B {B.shape[0]}×{B.shape[1]}, which cannot be multiplied: "
            "the file is damaged or put together from two adapters; copy it again."
        )
    k, r = A.shape[1], A.shape[0] // experts
    finite = bool(A.isfinite().all() and B.isfinite().all())
    a_zero, b_zero = not A.any(), not B.any()
    S = abs(scale) * singular_values(A, B, experts) if finite else None
    norm = float(S.norm()) if S is not None else None
    largest, spread = float(A.abs().max()), float(A.square().mean().sqrt())
    linear = finite and not on_embedding
    usual_start = linear and not _halves_alike(A)
    return AdaptedMatrix(
        *(module, r, B.shape[0], k, experts, on_embedding, scale),
        norm=norm if norm is not None and norm <= LARGEST else None,
        stable_rank=_middle([_stable(one) for one in S]) if S is not None else None,
        effective_rank=_middle([_effective(one) for one in S]) if S is not None else None,
        finite=finite,
        a_zero=a_zero,
        b_zero=b_zero,
        # the start's largest numbers may have been rounded up when they were saved
        a_reach=largest * math.sqrt(k) / (1 + 2.0**-bits) if linear else None,
        a_growth=spread * math.sqrt(3 * k) if usual_start else None,
        zeros=0.0
        if a_zero or b_zero
        else 1 - (int(A.count_nonzero()) + int(B.count_nonzero())) / (A.numel() + B.numel()),
    )


def singular_values(A: Tensor, B: Tensor, experts: int = 1) -> Tensor:
    """The singular values of B·A, strongest first: experts × r. No d×k matrix is made."""
    k, d = A.shape[1], B.shape[0]
    A = A.reshape(experts, -1, k)  # PEFT's order: r rows of the first expert, then of the second …
    B = B.reshape(d, -1, experts).permute(2, 0, 1)  # … and columns of B in turns, one of each expert
    R_A = torch.linalg.qr(A.transpose(1, 2), mode="r").R
    R_B = torch.linalg.qr(B, mode="r").R
    return torch.linalg.svdvals(R_B @ R_A.transpose(1, 2))


def _halves_alike(A: Tensor) -> bool:
    """Whether A holds an A and the one that it began with, as PEFT writes them when it converts PiSSA and its like."""
    if A.shape[0] % 2:
        return False
    first, second = A.chunk(2)
    return float(torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)) > 0.5


def _stable(S: Tensor) -> float:
    strongest = float(S.max())
    return float((S / strongest).square().sum()) if strongest else 0.0


def _effective(S: Tensor) -> float:
    if not float(S.sum()):
        return 0.0
    p = S / S.sum()
    return math.exp(-float(torch.special.xlogy(p, p).sum()))


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def dropped(opened: AdapterFolder) -> list[str]:
    """The modules whose A and B are in the file and that the configuration leaves out:
    PEFT loads the adapter without them."""
    if not opened.settings.is_lora or odd_keys(opened):
        return []
    return [module for module, _, _ in opened.pairs() if not opened.settings.reaches(module)]


def all_dropped(opened: AdapterFolder) -> bool:
    """Whether the configuration means none of the file's modules at all: PEFT stops."""
    return bool(lost := dropped(opened)) and len(lost) == len(list(opened.pairs()))


def not_in_file(opened: AdapterFolder) -> str:
    """What the configuration says is saved whole and the file has nothing of, in a few words; or ""."""
    settings, keys = opened.settings, [one.key for one in opened.tensors if one.role not in ("A", "B")]
    if settings.modules_to_save and not any(f".{name}." in key for name in settings.modules_to_save for key in keys):
        return f"a module called {' or '.join(settings.modules_to_save)} (modules_to_save)"
    if any(rows is None for _, _, rows in _tokens(opened)):
        return "the tokens of trainable_token_indices"
    return ""


def _tokens(opened: AdapterFolder) -> Iterator[tuple[str, Any, int | None]]:
    """Of each embedding in LoRA's trainable_token_indices: its name ("" for the model's own), its tokens,
    and the file's rows."""
    trained = opened.settings.others.get("trainable_token_indices") if opened.settings.is_lora else None
    rows = {f".{one.module}": one.shape[0] for one in opened.tensors if one.role == "tokens" and one.shape}
    for name, numbers in (
        trained.items() if isinstance(trained, dict) else [("", trained)] if trained is not None else []
    ):
        yield name, numbers, next((held for module, held in rows.items() if not name or f".{name}." in module), None)


def tokens_misfit(opened: AdapterFolder, vocabulary: int | None = None) -> str:
    """Why PEFT stops at trainable_token_indices, in a few words; "" where it does not."""
    for _, numbers, rows in _tokens(opened):
        if not isinstance(numbers, list) or not all(type(one) is int and one >= 0 for one in numbers):
            return "trainable_token_indices holds something else than the numbers of tokens"
        if rows not in (None, len(numbers)):
            return f"trainable_token_indices names {len(numbers)} tokens, and the file has rows for {rows}"
        if isinstance(vocabulary, int) and max(numbers, default=0) >= vocabulary:
            return f"trainable_token_indices names token {max(numbers)}, and the base has {vocabulary:,}"
    return ""


def tokens_dropped(opened: AdapterFolder) -> int:
    """The rows of tokens in a LoRA's file that its configuration does not name: PEFT loads the adapter without them."""
    settings = opened.settings
    named = not settings.is_lora or "trainable_token_indices" in settings.others
    return 0 if named else sum(one.shape[0] for one in opened.tensors if one.role == "tokens" and one.shape)


def other_ranks(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> list[AdaptedMatrix]:
    """The matrices whose tensors have another rank than the configuration gives them: PEFT refuses the adapter."""
    settings = opened.settings
    return [one for one in matrices if settings.reaches(one.module) and one.r != settings.rank_of(one.module)]


def biased_by(opened: AdapterFolder) -> list[str]:
    """The modules that the adapter adds a bias to: LoRA with lora_bias, and BEFT.
    PEFT merges it into the base's own bias."""
    return [one.module for one in opened.tensors if one.key.endswith((".lora_B.bias", ".beft_bias"))]
