"""Exercises of lesson 04: an adapter file's size, its scale, keys that found no place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...course.exercises import answered, exercise


@exercise("04.1", "The scale that an adapter asks for", difficulty=2, minutes=6)
def exercise_04_1(answer: Callable[[Mapping[str, Any]], float]) -> str | None:
    config = {"r": 9, "lora_alpha": 18}
    plain = answered(answer(config | {"use_rslora": False}))
    mistakes = {
        18.0: "That is α alone. The scale is α/r.",
        0.5: "That is r/α, upside down. The scale is α/r.",
        162.0: "You multiplied by r. The scale is α/r.",
        6.0: "You divided by √r although `use_rslora` is false.",
    }
    if plain in mistakes:
        return mistakes[plain]
    if plain != 2:
        return f"For r = 9, lora_alpha = 18 and no rsLoRA the scale is 2; you have {plain}."
    rs = answer(config | {"use_rslora": True})
    mistakes = {
        2.0: "You ignore `use_rslora`. An rsLoRA adapter loaded like this is too weak by a factor of √r.",
        54.0: "You multiplied by √r. rsLoRA's scale is α/√r.",
        2 / 3: "You divided by r and by √r. rsLoRA divides by √r instead of r.",
        math.sqrt(2): "You took the root of the whole α/r. Only r stands under it: α/√r.",
    }
    for wrong, sentence in mistakes.items():
        if math.isclose(rs, wrong, rel_tol=1e-6):
            return sentence
    if not math.isclose(rs, 6, rel_tol=1e-6):
        return f"With use_rslora true, r = 9 and lora_alpha = 18 the scale is α/√r = 6; you have {rs}."
    try:
        old = answer(config)
    except KeyError:
        return "Right, until an older file comes that has no `use_rslora` at all: read it with `config.get(...)`."
    if old != 2:
        return "A file without `use_rslora` is plain LoRA: its scale is α/r."
    if (other := answer({"r": 16, "lora_alpha": 8, "use_rslora": False})) != 0.5:
        return (
            f"That is right for r = 9 and α = 18 alone. For r = 16 and α = 8 the scale is 0.5, not {other}: read both."
        )
    return None


@exercise("04.3", "Find the mistake: an adapter that loads as absent", difficulty=2, minutes=8)
def exercise_04_3(answer: Callable[[list[str], list[str]], list[str]]) -> str | None:
    layers = [f"base_model.model.model.layers.{i}.self_attn.{p}" for i in (0, 1) for p in ("q_proj", "v_proj")]
    parts = ("lora_A", "lora_B")
    places = [f"{layer}.base_layer.weight" for layer in layers]
    places += [f"{layer}.{part}.default.weight" for layer in layers for part in parts]
    healthy = [f"{layer}.{part}.weight" for layer in layers for part in parts]
    wrapped = ["module." + key for key in healthy]

    value = answered(answer(list(wrapped), list(places)))
    if isinstance(value, (bool, int, str)):
        return f"Return the keys themselves, as a list; you returned {value!r}."
    if set(value) & set(places):
        return "You return names of the model. Return the keys of the file that found no place in it."
    if not value:
        return "Your function takes `module.base_model…` for `base_model…`. A key must match whole: that difference was the colleague's bug."
    if set(value) != set(wrapped):
        return f"All {len(wrapped)} keys that begin with `module.` are lost. You return {len(value)}, or under other names."
    value = answer(list(healthy), list(places))
    if set(value) == set(healthy):
        return "You call a healthy file lost. Where it says `lora_A.weight`, the model says `lora_A.default.weight`."
    if value:
        return f"This file is healthy, and you return {len(value)} of its keys."
    bare = [key.removeprefix("base_model.model.") for key in healthy]
    if set(answer(list(bare), list(places))) != set(bare):
        return "A key that is only the end of a model's name has no place in the model: compare whole keys."
    one = healthy[:3] + [healthy[3].replace("v_proj", "v_prj")] + healthy[4:]
    value = answer(list(one), list(places))
    if set(value) != {one[3]}:
        return f"With one misspelt key among {len(one)}, exactly that one is lost, and you return {len(value)}."
    return None
