"""Findings from the file and its folder: keys, sizes, halves that are missing, further adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS

from ..reading import OF_ZERO_3, AdapterFolder, adapter_name, nowhere, odd_keys, open_adapter, weights_beside
from ..xray import Finding
from .said import finding, named


def findings(opened: AdapterFolder) -> Iterator[Finding]:
    """All findings from the file and the folders beside it."""
    if opened.settings.is_lora:
        yield from _keys(opened)
    yield from _embeddings(opened)
    yield from _second_adapters(opened)
    if beside := weights_beside(opened):
        yield finding("weights_beside", beside=", ".join(beside[:5]))


def _keys(opened: AdapterFolder) -> Iterator[Finding]:
    if odd := odd_keys(opened):
        yield finding("keys_odd", odd=odd[0].upper() + odd[1:])
    elif name := adapter_name(opened):
        yield finding("keys_with_name", name=name)
    pairs = list(opened.pairs())
    if empty := opened.empty:
        yield finding(
            "empty_tensors", many=len(empty), all=len(opened.tensors), first=empty[0].key[:120], of_zero_3=OF_ZERO_3
        )
    if misshapen := opened.misshapen:
        first = next(iter(misshapen))
        yield finding("shapes_do_not_fit", where=named(list(misshapen), len(pairs)), shapes=misshapen[first])
    if lone := [module for module, A, B in pairs if A is None or B is None]:
        yield finding("half_missing", many=len(lone), first=lone[0])
    if strange := nowhere(opened):
        yield finding("keys_of_others", many=len(strange), first=strange[0].key[:120])
    if not pairs:
        yield finding("no_halves")


def _embeddings(opened: AdapterFolder) -> Iterator[Finding]:
    whole = [one for one in opened.tensors if one.role == "embedding" and one.numbers]
    if not whole:
        return
    size, total = sum(one.bytes for one in whole), opened.file.stat().st_size
    meant = bool(opened.settings.modules_to_save)
    why = "modules_to_save asks for it." if meant else "PEFT does that for embeddings that were targeted or resized."
    yield finding(
        "embeddings_saved",
        "look" if size > total / 2 and not meant else "note",
        names=", ".join(dict.fromkeys(one.module for one in whole)),
        size=size / 1e6,
        total=total / 1e6,
        why=why,
    )


def _second_adapters(opened: AdapterFolder) -> Iterator[Finding]:
    """PEFT saves a model's second adapter in a folder of its name inside the first one's."""
    within = sorted(one.parent for one in opened.place.glob(f"*/{ADAPTER_CONFIG}"))
    within = [place for place in within if (place / ADAPTER_WEIGHTS).is_file()]
    # a checkpoint is the same adapter at an earlier step
    seconds = [place for place in within if not place.name.startswith("checkpoint")]
    moved = bool(seconds) and not _never_moved(opened.place)
    for place in (place for place in seconds if moved and _never_moved(place)):
        yield finding("second_adapter_untrained", second=place.name)
    if within:
        names = ", ".join(place.name for place in within[:5]) + (" …" if len(within) > 5 else "")
        yield (
            finding("further_adapters", many=len(within), names=names)
            if len(within) > 1
            else finding("further_adapter", names=names)
        )


def _never_moved(place: Path) -> bool:
    """Whether the adapter in `place` has pairs, and every B is zero; False where it cannot be read."""
    try:
        opened = open_adapter(place)
        pairs = [B for _, _, B in opened.pairs() if B is not None]
        return bool(pairs) and not any(bool(opened.read(B).any()) for B in pairs)
    except (OSError, ValueError):
        return False
