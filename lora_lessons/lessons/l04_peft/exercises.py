"""The exercise of lesson 04: keys that found no place."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ...course.exercises import answered, exercise


@exercise("04.3", "Find the mistake: an adapter that loads as absent", difficulty=2, minutes=8)
def exercise_04_3(answer: Callable[[list[str], list[str]], list[str]]) -> str | None:
    layers = [f"base_model.model.model.layers.{i}.self_attn.{p}" for i in (0, 1) for p in ("q_proj", "v_proj")]
    parts = ("lora_A", "lora_B")
    places = [f"{layer}.base_layer.weight" for layer in layers]
    places += [f"{layer}.{part}.default.weight" for layer in layers for part in parts]
    healthy = [f"{layer}.{part}.weight" for layer in layers for part in parts]
    wrapped = ["module." + key for key in healthy]

    value = answered(answer(list(wrapped), list(places)))
    if isinstance(value, str) or not isinstance(value, Collection):
        return f"Return the keys themselves, as a list; you returned {value!r}."
    if set(value) & set(places):
        return "You return names of the model. Return the keys of the file that found no place in it."
    if not value:
        return (
            "Your function takes `module.base_model…` for `base_model…`. A key must match whole: "
            "that difference was the colleague's bug."
        )
    if set(value) != set(wrapped):
        return (
            f"All {len(wrapped)} keys that begin with `module.` are lost. You return {len(value)}, "
            "or under other names."
        )
    value = answer(list(healthy), list(places))
    if set(value) == set(healthy):
        return "You call a healthy file lost. Where it says `lora_A.weight`, the model says `lora_A.default.weight`."
    if value:
        return f"This file is healthy, and you return {len(value)} of its keys."
    bare = [key.removeprefix("base_model.model.") for key in healthy]
    if set(answer(list(bare), list(places))) != set(bare):
        return "A key that is only the end of a model's name has no place in the model: compare whole keys."
    one = healthy[:3] + [healthy[3].replace("v_proj", "v_prj")] + healthy[4:]
    value = answer(one[::-1], list(places))
    if set(value) != {one[3]}:
        return (
            f"With one misspelt key among {len(one)}, exactly that one is lost, in whatever order they come; "
            f"you return {len(value)}."
        )
    return None
