"""Findings from what the keys name and what the base is: layers that servers look for elsewhere,
and stacked experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..architectures import architecture_of, by_architecture, kinds_of_keys, refused_by_peft
from ..reading import AdapterFolder
from ..xray import AdaptedMatrix, AgainstBase, Finding
from .said import finding


def findings(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[Finding]:
    """All findings that follow from the architecture."""
    if not opened.settings.is_lora:
        return
    kinds = kinds_of_keys(opened, matrices)
    known = architecture_of(opened, against)
    served = next(by_architecture("vLLM", opened, matrices, against), ("yes", "", ""))
    if "text" in kinds and known.wraps and served[0] != "yes":
        name = known.family.name if known.family else "this base"
        there = f"in {name} it" if known.sure else f"the base's name says {name}, in which it"
        yield finding("keys_of_language_model", there=there)
    for _, reason, behind in refused_by_peft(opened, matrices, against):
        yield finding(
            "refused_by_architecture",
            "wrong" if known.sure else "look",
            reason=reason[0].upper() + reason[1:],
            behind=behind,
        )
    if "stacked" in kinds:
        yield finding("experts_stacked")
