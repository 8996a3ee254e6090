"""One run: an arm is put on the base, by PEFT where it has an adapter, trained, and its held-out loss is measured."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from lora_lessons import lora, models, tasks, training
from lora_lessons.errors import ModelError
from lora_lessons.files import scratch
from lora_tools.papers.arms import CURVE, TASK, TriedArm
from workshop.record.papers import watching

ONE = 2 / 3  # how deep the block lies whose down_proj is adapted alone


def fast() -> bool:
    """Whether products are computed in bf16 while the weights stay in fp32: in every arm alike."""
    return models.best_precision().name == "bf16"


def targets(model: nn.Module, which: str) -> list[str]:
    """The full names of the matrices that `which` (of TriedArm.targets) means."""
    every = lora.resolve_targets(model, "all-linear")
    last = max(int(block) for name in every for block in re.findall(r"layers\.(\d+)\.", name))
    part = {
        "all": "",
        "attention": ".self_attn.",
        "mlp": ".mlp.",
        "one": f"layers.{round(ONE * last)}.mlp.down_proj",
    }[which]
    return [name for name in every if part in name]


def rank(model: nn.Module, arm: TriedArm, names: list[str]) -> int:
    """The rank at which B·A on `names` has about as many numbers as rank arm.r on every matrix; of one matrix,
    arm.r itself."""

    def numbers(of: list[str]) -> int:
        weights: list[Any] = [model.get_submodule(name).weight for name in of]
        return sum(sum(W.shape) for W in weights)

    return arm.r if arm.targets == "one" else round(arm.r * numbers(targets(model, "all")) / numbers(names))


def adapter(arm: TriedArm, r: int, names: list[str], seed: int) -> Any:
    """PEFT's configuration of the arm's method; what PEFT recommends where it is not said.
    Raises KeyError for another method."""
    import peft

    on: dict[str, Any] = {"target_modules": names, "task_type": "CAUSAL_LM"}
    plain = partial(peft.LoraConfig, r=r, lora_alpha=arm.lora_alpha, **on)
    methods: Mapping[str, Callable[[], Any]] = {
        "LoRA": plain,
        "DoRA": partial(plain, use_dora=True),
        "rsLoRA": partial(plain, use_rslora=True),
        "PiSSA": partial(plain, init_lora_weights="pissa_niter_16"),
        # about as many numbers as rank 8
        "OFT": partial(peft.OFTConfig, oft_block_size=32, **on),
        "MiSS": partial(peft.MissConfig, r=2 * r, **on),
        "mask": partial(peft.ShiraConfig, r=r, random_seed=seed, **on),
        # as few as they are meant to have
        "VeRA": partial(peft.VeraConfig, projection_prng_key=seed, **on),
        "TinyLoRA": partial(peft.TinyLoraConfig, projection_seed=seed, **on),
    }
    return methods[arm.method]()


def put_on(model: Any, arm: TriedArm, seed: int) -> Any:
    """The model with what the arm trains: every parameter, or a PEFT adapter around it."""
    if arm.method == "full":
        return model.requires_grad_(True)
    import peft

    names = targets(model, arm.targets)
    made = adapter(arm, rank(model, arm, names), names, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wrapped: Any = peft.get_peft_model(model, made)
    return wrapped


def settings(arm: TriedArm, rate: float, seed: int) -> training.Settings:
    """How the arm is trained. A large batch goes through the model in parts of four,
    which changes nothing but memory."""
    return training.Settings(
        steps=arm.steps,
        batch_size=4,
        gradient_accumulation_steps=arm.batch // 4,
        learning_rate=rate,
        warmup=arm.steps // 6,
        seed=seed,
        autocast=fast(),
        optimizer="adamw_fused",
        # as transformers does it: the fast path knows LoRA and full fine-tuning only
        fast=False,
        checkpoint_every=0,
    )


def one_run(size: str, arm: TriedArm, rate: float, seed: int, watched: tuple[str, ...] = ()) -> dict[str, Any]:
    """Train the arm at this rate: held-out loss, perplexity of plain text, what was watched.
    A run that diverges says why, its loss is None."""
    begun = time.perf_counter()
    base, task = models.load(size, "fp32"), tasks.load_task(TASK)
    taught = [one for one in task.train if arm.topic in ("", one["topic"])]
    train_set, held_out = ([tasks.encode(base.tokenizer, one) for one in part] for part in (taught, task.held_out))
    every = lora.resolve_targets(base.model, "all-linear")
    before = watching.copies(base.model, every) if watching.needs_copies(watched) else {}
    model = put_on(base.model, arm, seed)
    seen = watching.Watch(base, model, task, held_out, fast())
    found = {"rate": rate, "seed": seed, "trained": lora.trainable_parameters(model)}
    try:
        with scratch("papers") as folder:
            training.train(
                model,
                train_set,
                settings(arm, rate, seed),
                run_dir=folder,
                reuse=False,
                # instead of a sum over all weights: nothing is read back
                name="papers",
                on_step=seen.along if CURVE in watched else None,
            )
        found |= seen.state()
    except (training.TrainingStopped, ModelError) as error:
        return found | {"loss": None, "stopped": str(error), "seconds": time.perf_counter() - begun}
    found |= seen.at_the_end(watched, before)
    return found | {"seconds": time.perf_counter() - begun}


def untouched(size: str) -> dict[str, Any]:
    """The base before any training: held-out loss, and perplexity of text of no task."""
    base, task = models.load(size, "fp32"), tasks.load_task(TASK)
    held_out = [tasks.encode(base.tokenizer, one) for one in task.held_out]
    return watching.Watch(base, base.model, task, held_out, fast()).state()
