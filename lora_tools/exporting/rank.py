"""An adapter at a smaller rank: of every ΔW = scale·B·A, the strongest directions stay (Eckart and Young, 1936).

d×k is never made: B and Aᵀ are turned into right-angled directions (QR), and the SVD of what lies between them, r×r, is
that of B·A. PEFT's `convert_to_lora(model, rank=8)` comes to the same ΔW by way of d×k, and of a base.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, Numbers, read_adapter, write_folder
from lora_lessons.files import check_replaced, refuse_existing
from lora_lessons.mixing import cut
from lora_lessons.outside import in_code, in_line
from lora_lessons.peft_config import read_config
from lora_lessons.sums import sha256

from .model_card import CARD, as_card, base_in_card, listed, plain, signed, table


class KindOfMatrix(NamedTuple):
    """What is left of the matrices of one kind, such as every q_proj; the shares are None where ΔW was zero."""

    name: str
    matrices: int
    # ‖ΔW‖² after the cut over ‖ΔW‖² before: of all together, and of the layer that keeps least
    kept: float | None
    least: float | None


class CutAdapter(NamedTuple):
    """What `export` wrote: the folder, its matrices by kind and together,
    and the bytes of the weights before and after."""

    folder: Path
    kinds: list[KindOfMatrix]
    before: int
    after: int


def export(adapter: Path | str, r: int, out: Path | str, *, overwrite: bool = False) -> CutAdapter:
    """Write the adapter in the folder `adapter`, cut to rank `r`, to the folder `out`:
    PEFT's two files and a model card.

    All of it appears, or nothing. The numbers are kept in as many bits as before. Raises ValueError where there is
    nothing to cut or the adapter is more than scale·B·A (DoRA, PiSSA and so on),
    FileExistsError where `out` may not be replaced.
    """
    folder, out = Path(adapter), Path(out)
    whole = read_adapter(folder)
    if out.resolve() == folder.resolve():
        raise FileExistsError(f"{out} is the adapter that is cut, and it stays: choose another folder.")
    refuse_existing(out, overwrite)
    check_replaced(out, (ADAPTER_CONFIG, ADAPTER_WEIGHTS, CARD))
    smaller = cut(whole, r)
    kinds, weights = by_kind(smaller.energies), folder / ADAPTER_WEIGHTS
    config = read_config(folder / ADAPTER_CONFIG)
    if "init_lora_weights" in config:
        # these A and B are no start of that name, and some starts ask for a rank of their own
        config["init_lora_weights"] = True
    numbers = Numbers(weights)
    write_folder(
        out,
        smaller.adapter,
        config,
        numbers.read(numbers.names[0]).dtype,
        {CARD: _card(out.name, whole, r, kinds, weights)},
    )
    return CutAdapter(out, kinds, weights.stat().st_size, (out / ADAPTER_WEIGHTS).stat().st_size)


def by_kind(energies: Mapping[str, tuple[float, float]]) -> list[KindOfMatrix]:
    """What is kept of each kind of matrix, by the last part of the layers' names; at the end, of all together."""
    kinds: dict[str, list[tuple[float, float]]] = {}
    for layer, both in energies.items():
        kinds.setdefault(layer.rpartition(".")[2], []).append(both)
    return [_kind(name, both) for name, both in [*kinds.items(), ("together", list(energies.values()))]]


def _kind(name: str, both: list[tuple[float, float]]) -> KindOfMatrix:
    before, after = (sum(part) for part in zip(*both, strict=True))
    shares = [kept / whole for whole, kept in both if whole]
    return KindOfMatrix(name, len(both), after / before if before else None, min(shares, default=None))


HEAD = ("matrix", "count", "energy kept", "least in a layer")


def row(kind: KindOfMatrix) -> tuple[str, ...]:
    """One kind of matrix as the texts of HEAD."""
    shares = (f"{share:.1%}" if share is not None else "–" for share in (kind.kept, kind.least))
    return in_line(kind.name), str(kind.matrices), *shares


def in_words(written: CutAdapter) -> str:
    """The table, the sizes of the files, and what the shares do not say."""
    lines = [HEAD, *map(row, written.kinds)]
    wide = max(len(name) for name, *_ in lines)
    shown = [f"{name:<{wide}}{count:>7}{kept:>13}{least:>18}" for name, count, kept, least in lines]
    return "\n".join(
        [
            *shown,
            f"{ADAPTER_WEIGHTS}: {written.before / 1e6:.2f} MB before, {written.after / 1e6:.2f} MB now",
            NOT_SCORED,
        ]
    )


NOT_SCORED = (
    "Energy is the share of ‖ΔW‖² that is left. It does not say how much of what was learned is left: ask the adapter, "
    "or score it, before you use it."
)


def _card(name: str, whole: Adapter, r: int, kinds: list[KindOfMatrix], weights: Path) -> str:
    """The model card of the adapter that was cut: what it was cut from and what is left; nothing was scored."""
    ranks = sorted({len(A) for A in whole.A.values()})
    base = base_in_card(whole.base_name)
    parts = [
        f"# {plain(name)}",
        f"A LoRA adapter for {in_code(base.name) if base.name else 'a base that it does not name'}, cut from one of "
        f"rank {' to '.join(map(str, dict.fromkeys((ranks[0], ranks[-1]))))} to rank {r}. Of each ΔW, the {r} "
        "strongest directions are left: the best that this rank can do in the Frobenius norm (Eckart and Young, 1936).",
        "## What it was cut from",
        listed({"adapter": whole.name, f"sha256 of its {ADAPTER_WEIGHTS}": sha256(weights)}),
        "## What is left",
        table(HEAD, map(row, kinds)),
        f"{NOT_SCORED} Scores on the card of {plain(whole.name)} are not this adapter's.",
    ]
    return signed(as_card(base.name, base.loads if base.name else repr("the name of its base"), parts))
