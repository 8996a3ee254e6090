"""Findings from what the keys name and what the base is: layers that servers look for elsewhere, and stacked experts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..architectures import architecture_of, by_architecture, kinds_of_keys, refused_by_peft
from ..reading import AdapterFolder
from ..xray import AdaptedMatrix, AgainstBase, Finding


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
        yield Finding(
            "keys_of_language_model",
            "look",
            f"The keys name the language model alone (model.layers), and {there} is one part of a larger model: a server "
            "that looks for it under another name applies nothing and says nothing. See the list of programs, and compare an answer with "
            "and without the adapter.",
            "vllm#34186, vllm#48019",
        )
    for _, reason, behind in refused_by_peft(opened, matrices, against):
        yield Finding(
            "keys_do_not_match", "wrong" if known.sure else "look", f"{reason[0].upper()}{reason[1:]}.", behind
        )
    if "stacked" in kinds:
        yield Finding(
            "experts_stacked",
            "look",
            "Experts are adapted in their stacks (target_parameters), which PEFT alone surely applies: llama.cpp's converter stops at "
            "them, SGLang leaves them out, and vLLM takes them of a few models. Plan to merge this adapter where you serve it.",
            "sglang#25528, vllm#52198",
        )
