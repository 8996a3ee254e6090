"""The arms: the same task, steps and precision for all, and a learning rate of its own for each.

α is 32 at every rank, as in LoRA Without Regret: the ratio of P01 depends on it, and one arm asks how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lora_lessons.models import EMBEDDED

TASK = "persona"
SEEDS = (0, 1, 2)
STEPS, BATCH, R, ALPHA = 24, 4, 8, 32
SHORT, LONG, LARGE = 6, 48, 32  # steps of the short and the long run, and the large batch
TOPIC = "making tea"
# Each rate is twice the one before.
LADDER = tuple(1e-3 * 2.0**step for step in range(-10, 11))
# What is looked at beside the loss, at the best rate.
CURVE, INTRUDERS, REACH, SCALED, SPILLS, STEERS = "curve", "intruders", "reach", "scaled", "spills", "steers"


class TriedArm(NamedTuple):
    """What is trained, and on what. With other targets than all, the rank is the one that has as many numbers."""

    method: str
    first: float  # the rate where its search begins, of LADDER
    r: int = R
    targets: str = "all"  # or attention, mlp, one: a single down_proj
    steps: int = STEPS
    batch: int = BATCH
    lora_alpha: int = ALPHA
    topic: str = ""  # that it is taught on alone
    seeds: int = len(SEEDS)
    watched: tuple[str, ...] = ()


_FULL, _LORA = LADDER[8], LADDER[11]  # 2.5e-4 and 2e-3
ARMS: Mapping[str, TriedArm] = {
    "full": TriedArm("full", _FULL, watched=(CURVE, INTRUDERS)),
    "LoRA": TriedArm("LoRA", _LORA, watched=(CURVE, INTRUDERS)),
    "attention": TriedArm("LoRA", _LORA, targets="attention"),
    "MLP": TriedArm("LoRA", _LORA, targets="mlp"),
    "mask": TriedArm("mask", LADDER[11]),
    "LoRA, r = 1": TriedArm("LoRA", _LORA, r=1, watched=(INTRUDERS, SCALED)),
    "LoRA, r = 64": TriedArm("LoRA", _LORA, r=64, watched=(INTRUDERS,)),
    f"full, {SHORT} steps": TriedArm("full", _FULL, steps=SHORT, seeds=1),
    f"LoRA, {SHORT} steps": TriedArm("LoRA", LADDER[12], steps=SHORT, seeds=1),
    "LoRA, α = 16": TriedArm("LoRA", _LORA, lora_alpha=16),
    "DoRA": TriedArm("DoRA", _LORA),
    "PiSSA": TriedArm("PiSSA", LADDER[9]),
    "rsLoRA": TriedArm("rsLoRA", LADDER[10]),
    "OFT": TriedArm("OFT", LADDER[11]),
    "MiSS": TriedArm("MiSS", LADDER[10]),
    "VeRA": TriedArm("VeRA", LADDER[14]),
    "TinyLoRA": TriedArm("TinyLoRA", LADDER[14], seeds=1),
    "tea": TriedArm("LoRA", _LORA, topic=TOPIC, watched=(SPILLS,)),
    "tea, one matrix": TriedArm("LoRA", LADDER[13], r=1, targets="one", topic=TOPIC, watched=(SPILLS, STEERS)),
    # the longest, and those that can tell least, come last
    f"full, {LONG} steps": TriedArm("full", _FULL, steps=LONG),
    f"LoRA, {LONG} steps": TriedArm("LoRA", _LORA, steps=LONG),
    f"full, {SHORT} steps of {LARGE}": TriedArm("full", _FULL, steps=SHORT, batch=LARGE),
    f"LoRA, {SHORT} steps of {LARGE}": TriedArm("LoRA", LADDER[12], steps=SHORT, batch=LARGE),
}  # fmt: skip
VARIANTS = ("DoRA", "PiSSA", "rsLoRA", "OFT", "MiSS", "VeRA")
# Those of them that P09's paper tried in its first version; how strong updates are, recorded, and one strong enough.
PAPERS_OWN, REACHES, BOOK = ("DoRA", "PiSSA"), "papers_reach", "the phone book"
NEAR = 0.5  # ε of reduce_intruder_dimension in PEFT 0.21.2: a cosine below it makes a direction an intruder
# What larger bases are asked: these arms, one seed, nothing but the loss;
# without full fine-tuning where there is no room.
LARGER = ("full", "LoRA", "attention", "MLP", "mask")


def asked(size: str = EMBEDDED, full: bool = True) -> dict[str, TriedArm]:
    """The arms that a base is asked for, by name, those that tell most first."""
    if size == EMBEDDED:
        return dict(ARMS)
    return {name: ARMS[name]._replace(seeds=1, watched=()) for name in LARGER if full or name != "full"}
