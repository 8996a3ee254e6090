"""Where configuration, file and base say two things: matrices that the targets leave out, other ranks, biases without a place."""

from __future__ import annotations

from collections.abc import Sequence

from .measures import AdaptedMatrix
from .reading import AdapterFolder, odd_keys


def dropped(opened: AdapterFolder) -> list[str]:
    """The modules whose A and B are in the file and that target_modules leaves out: PEFT loads the adapter without them."""
    if not opened.settings.is_lora or odd_keys(opened):
        return []
    return [module for module, _, _ in opened.pairs() if not opened.settings.reaches(module)]


def other_ranks(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> list[AdaptedMatrix]:
    """The matrices whose tensors have another rank than the configuration gives them: PEFT refuses the adapter."""
    said = opened.settings
    return [one for one in matrices if said.reaches(one.module) and one.r != said.rank_of(one.module)]


def biased_by(opened: AdapterFolder) -> list[str]:
    """The modules that the adapter adds a bias to: LoRA with lora_bias, and BEFT. PEFT merges it into the base's own bias."""
    return [one.module for one in opened.tensors if one.key.endswith((".lora_B.bias", ".beft_bias"))]
