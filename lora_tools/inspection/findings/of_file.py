"""Findings from the file and its folder: keys, sizes, halves that are missing, further adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS

from ..reading import OF_ZERO_3, AdapterFolder, adapter_name, nowhere, odd_keys, open_adapter, weights_beside
from ..xray import Finding
from .of_numbers import named


def findings(opened: AdapterFolder) -> Iterator[Finding]:
    """All findings from the file and the folders beside it."""
    if opened.settings.is_lora:
        yield from _keys(opened)
    yield from _embeddings(opened)
    yield from _second_adapters(opened)
    if beside := weights_beside(opened):
        yield Finding(
            "weights_beside",
            "look",
            f"{', '.join(beside[:5])} lies beside {ADAPTER_WEIGHTS}, and PEFT and servers never open it: if it holds a part of what was "
            "trained, as experts or a head of their own, they compute without that. Load it with the program that wrote it, or merge it there.",
            "ktransformers#2146",
        )


def _keys(opened: AdapterFolder) -> Iterator[Finding]:
    if odd := odd_keys(opened):
        yield Finding(
            "keys_do_not_match",
            "wrong",
            f"{odd[0].upper()}{odd[1:]}: PEFT finds no place for them, goes on as if they had never been trained, and "
            "says so in a warning only. Save it again with PEFT's save_pretrained, or rename them in a copy of the file.",
            "peft#1678, peft#2171",
        )
    elif name := adapter_name(opened):
        yield Finding(
            "keys_do_not_match",
            "look",
            f"The keys hold an adapter's name, as in lora_A.{name}.weight: PEFT finds them only if it loads the adapter under that "
            f"name (adapter_name={name!r}), and llama.cpp and vLLM not at all. Save it with PEFT's save_pretrained.",
            "peft#1678, llama.cpp#3640",
        )
    pairs = list(opened.pairs())
    if empty := opened.empty:
        yield Finding(
            "empty_tensors",
            "wrong",
            f"{len(empty)} of the file's {len(opened.tensors)} tensors hold no number, such as {empty[0].key[:120]}: PEFT stops with a size "
            f"mismatch. {OF_ZERO_3}",
            "peft#2450, trl#4416",
        )
    if misshapen := opened.misshapen:
        first = next(iter(misshapen))
        yield Finding(
            "shapes_do_not_fit",
            "wrong",
            f"A and B cannot be multiplied in {named(list(misshapen), len(pairs))}: there {misshapen[first]}. PEFT stops with a size "
            "mismatch. The file is damaged, holds one process's part alone, or was put together from two adapters: copy it again, or save it anew.",
            "lesson 02",
        )
    if lone := [module for module, A, B in pairs if A is None or B is None]:
        yield Finding(
            "half_missing",
            "wrong",
            f"The A or the B of {len(lone)} matrices is missing, such as of {lone[0]}: the file was put together wrongly, or "
            "saved in pieces.",
            "peft#2566",
        )
    if strange := nowhere(opened):
        yield Finding(
            "keys_do_not_match",
            "wrong",
            f"The file holds {len(strange)} tensors by names that PEFT does not know, such as {strange[0].key[:120]}: it loads the "
            "adapter without them and says nothing. Let the program that wrote them export the adapter as PEFT's, or merge it there.",
            "Automodel#1814; run here",
        )
    if not pairs:
        yield Finding(
            "half_missing", "wrong", "The configuration says LoRA, and the file holds no A and no B.", "peft#2566"
        )


def _embeddings(opened: AdapterFolder) -> Iterator[Finding]:
    whole = [one for one in opened.tensors if one.role == "embedding" and one.numbers]
    if not whole:
        return
    size, total = sum(one.bytes for one in whole), opened.file.stat().st_size
    names = ", ".join(dict.fromkeys(one.module for one in whole))
    meant = bool(opened.settings.modules_to_save)
    yield Finding(
        "embeddings_saved",
        "look" if size > total / 2 and not meant else "note",
        f"The file holds {names} whole: {size / 1e6:.3g} of its {total / 1e6:.3g} MB. "
        + (
            "modules_to_save asks for it. "
            if meant
            else "PEFT does that for embeddings that were targeted or resized. "
        )
        + "To learn a few new tokens, trainable_token_indices keeps their rows alone (vLLM does not take those: merge it there).",
        "peft#2898",
    )


def _second_adapters(opened: AdapterFolder) -> Iterator[Finding]:
    """PEFT saves a model's second adapter in a folder of its name inside the first one's."""
    within = sorted(one.parent for one in opened.place.glob(f"*/{ADAPTER_CONFIG}"))
    within = [place for place in within if (place / ADAPTER_WEIGHTS).is_file()]
    # a checkpoint is the same adapter at an earlier step
    seconds = [place for place in within if not place.name.startswith("checkpoint")]
    moved = bool(seconds) and not _never_moved(opened.place)
    for place in (place for place in seconds if moved and _never_moved(place)):
        yield Finding(
            "second_adapter_untrained",
            "look",
            f"The folder holds a second adapter, {place.name}, and all its B's are zero while those of the first one moved: if "
            "it was the second that you trained, the optimizer had the wrong one.",
            "peft#3580",
        )
    if within:
        names = ", ".join(place.name for place in within[:5]) + (" …" if len(within) > 5 else "")
        yield Finding(
            "further_adapters",
            "note",
            f"The folder holds {len(within)} further adapters ({names}): inspect each by itself."
            if len(within) > 1
            else f"The folder holds a further adapter, {names}: inspect it by itself.",
        )


def _never_moved(place: Path) -> bool:
    """Whether the adapter in `place` has pairs, and every B is zero; False where it cannot be read."""
    try:
        opened = open_adapter(place)
        pairs = [B for _, _, B in opened.pairs() if B is not None]
        return bool(pairs) and not any(bool(opened.read(B).any()) for B in pairs)
    except (OSError, ValueError):
        return False
