"""Exercises of hall 3, files: what was loaded, merged and saved. Training is in hall_3_training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .... import quant
from ....course.exercises import answered, exercise
from .. import mended, trials


def counted(load: Callable[..., Any]) -> Callable[..., Any]:
    """`load`, whose answer may not be the stub's."""
    return lambda *given: answered(load(*given))


@exercise("14.21", "Fine until the kernel restarted", difficulty=2, minutes=8)
def exercise_14_21(load: Callable[[Any, Path], Any]) -> str | None:
    folder, model = trials.a_saved_folder(steps=6)
    there = {file.name: file.read_bytes() for file in folder.iterdir()}
    found = trials.loaded(counted(load), folder, model)
    if {file.name: file.read_bytes() for file in folder.iterdir()} != there:
        return "The folder is another one now. It is the only copy: read it, and leave it as it is."
    if found.apart < 1e-4:
        return None
    if found.b_moved == 0:
        return (
            "Still the base: every lora_B is zero, so no key of the file found its module. Print a key of the file beside a "
            "name from model.named_parameters()."
        )
    if found.b_moved < found.b_all:
        return f"Only {found.b_moved} of {found.b_all} lora_B were found in the file: rename all keys alike."
    right = trials.loaded(mended.load, folder, model)
    if abs(found.loaded - right.loaded) > 1e-6 and found.b_moved == found.b_all:
        return (
            "A and B are in, and the logits are others: r and α are not those of the folder's adapter_config.json, or A and B "
            "were mixed up. LoraConfig.from_pretrained(folder) reads them."
        )
    return "These are not the trained model's logits."


def a_weight() -> tuple[Tensor, Tensor]:
    """A weight and an update with the sizes of real ones."""
    generator = torch.Generator().manual_seed(0)
    W = 0.1 * torch.randn(96, 128, generator=generator)
    return W.bfloat16(), 0.0014 * torch.randn(96, 128, generator=generator)


@exercise("14.26", "One file, please", difficulty=1, minutes=6)
def exercise_14_26(merge: Callable[[Tensor, Tensor], quant.Quantized]) -> str | None:
    W, delta = a_weight()
    got = answered(merge(W.clone(), delta.clone()))
    if not isinstance(got, quant.Quantized):
        return "Return the merged weight in 4 bits: what quant.quantize(…, 'nf4') returns."
    if got.codebook != "nf4":
        return f"Rounded to {got.codebook}: the file should be in NF4."
    found, W4 = quant.dequantize(got).float(), quant.dequantize(quant.quantize(W, "nf4")).float()
    share, whole = trials.kept(found - W4, delta), W.float() + delta
    if 0.9 < share < 1.1 and float((found - whole).norm() / whole.norm()) < 0.15:
        return None
    if torch.equal(found, W4):
        return "That is the base in 4 bits: ΔW is not in it."
    again = quant.dequantize(quant.quantize((W4 + delta).bfloat16(), "nf4")).float()
    if float((found - again).abs().mean()) < 1e-4:
        return (
            f"Round, merge, round again: {share:.0%} of ΔW is left. The 4-bit base lies exactly on its 16 values, and rounding "
            "puts it back there. Start from the 16-bit W."
        )
    return f"{share:.0%} of ΔW is in the result. It should be about 100%: W + ΔW, added once, then rounded once."


@exercise("14.27", "Merged, saved, and it babbles", difficulty=2, minutes=8)
def exercise_14_27(merged: Callable[[Any], Any]) -> str | None:
    found = trials.tied(counted(merged), steps=6)
    if max(found.in_memory, found.reloaded) < 1e-3 and not found.config_ties:
        return None
    if found.in_memory < 1e-3:
        return (
            "Right in memory, but the configuration still ties head and embedding: transformers 4.56, for one, makes them "
            "one again at loading, and then the merge is lost. Set config.tie_word_embeddings = False, too."
        )
    if found.embedding > 0 and not found.config_ties:
        return (
            "The merge changed the embedding, too: the configuration says that they are apart, but when you merged, both "
            "names were still one tensor. Give the head a clone of its weight first."
        )
    if found.embedding > 0:
        return (
            "The merge changed the embedding together with the head: they are one tensor. Give the head a weight of its own "
            "before you merge."
        )
    return (
        "The embedding is as it was, but the logits are not those with the adapter on: was the adapter merged at all?"
    )
