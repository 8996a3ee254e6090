"""Where configuration, file and base say two things: matrices that the targets leave out, other ranks, biases without a place."""

from __future__ import annotations

from collections.abc import Sequence

from .measures import AdaptedMatrix
from .reading import AdapterFolder, odd_keys


def dropped(opened: AdapterFolder) -> list[str]:
    """The modules whose A and B are in the file and that the configuration leaves out: PEFT loads the adapter without them."""
    if not opened.settings.is_lora or odd_keys(opened):
        return []
    return [module for module, _, _ in opened.pairs() if not opened.settings.reaches(module)]


def all_dropped(opened: AdapterFolder) -> bool:
    """Whether the configuration means none of the file's modules at all: PEFT stops."""
    return bool(lost := dropped(opened)) and len(lost) == len(list(opened.pairs()))


def not_in_file(opened: AdapterFolder) -> str:
    """What the configuration says is saved whole and the file has nothing of, in a few words; or ""."""
    said, keys = opened.settings, [one.key for one in opened.tensors if one.role not in ("A", "B")]
    if said.modules_to_save and not any(f".{name}." in key for name in said.modules_to_save for key in keys):
        return f"a module called {' or '.join(said.modules_to_save)} (modules_to_save)"
    if (
        said.is_lora
        and "trainable_token_indices" in said.others
        and not any(o.role == "tokens" for o in opened.tensors)
    ):
        return "the tokens of trainable_token_indices"
    return ""


def other_ranks(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> list[AdaptedMatrix]:
    """The matrices whose tensors have another rank than the configuration gives them: PEFT refuses the adapter."""
    said = opened.settings
    return [one for one in matrices if said.reaches(one.module) and one.r != said.rank_of(one.module)]


def biased_by(opened: AdapterFolder) -> list[str]:
    """The modules that the adapter adds a bias to: LoRA with lora_bias, and BEFT. PEFT merges it into the base's own bias."""
    return [one.module for one in opened.tensors if one.key.endswith((".lora_B.bias", ".beft_bias"))]
