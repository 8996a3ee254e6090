"""How large adapters for real 7B shapes are: counted on the meta device, where shapes cost no memory."""

from __future__ import annotations

from ... import lora, models

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
TARGETS: dict[str, str | list[str]] = {
    "q, v": ["q_proj", "v_proj"],
    "attention": ATTENTION,
    "all-linear": "all-linear",
}


def numbers_at_rank_1() -> dict[tuple[str, str], int]:
    """{(model, targets): how many numbers A and B hold at r = 1} for every shape and every choice of targets."""
    found = {}
    for name in models.SHAPES:
        model = models.shape(name)
        for where, modules in TARGETS.items():
            lora.attach(model, 1, lora_alpha=1, target_modules=modules)
            found[name, where] = lora.trainable_parameters(model)
            lora.detach(model)
    return found


def base_numbers() -> dict[str, int]:
    """How many numbers each of the 7B shapes holds itself."""
    return {name: sum(p.numel() for p in models.shape(name).parameters()) for name in models.SHAPES}
