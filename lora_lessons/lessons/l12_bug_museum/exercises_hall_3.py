"""Checks of hall 3, training and files: each runs what the learner repaired, and names what is still broken.

At the end, the hall repaired: each function has the name of the broken one in the notebook, and does what that one
should. They are where the vital signs of "a healthy run" come from, so solve the exhibits first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...course.exercises import answered, exercise
from . import trials
from .trials import adamw, learn, lora_config, loss_of


def counted(repair: Callable[..., Any]) -> Callable[..., Any]:
    """`repair`, whose answer may not be the stub's."""
    return lambda *given: answered(repair(*given))


@exercise("12.15", "Fine until the kernel restarted", difficulty=2, minutes=8)
def exercise_12_15(learners: Callable[[Any, Path], Any]) -> str | None:
    folder, model = trials.a_saved_folder(steps=6)
    there = {file.name: file.read_bytes() for file in folder.iterdir()}
    outcome = trials.loaded(counted(learners), folder, model)
    if {file.name: file.read_bytes() for file in folder.iterdir()} != there:
        return "The folder is another one now. It is the only copy: read it, and leave it as it is."
    if outcome.apart < 1e-4:
        return None
    if outcome.b_moved == 0:
        return (
            "Still the base: every lora_B is zero, so no key of the file found its module. Print a key of the file "
            "beside a name from model.named_parameters()."
        )
    if outcome.b_moved < outcome.b_all:
        return f"Only {outcome.b_moved} of {outcome.b_all} lora_B were found in the file: rename all keys alike."
    right = trials.loaded(load, folder, model)
    if abs(outcome.loaded - right.loaded) > 1e-6 and outcome.b_moved == outcome.b_all:
        return (
            "A and B are in, and the logits are others: r and α are not those of the folder's adapter_config.json, or "
            "A and B were mixed up. LoraConfig.from_pretrained(folder) reads them."
        )
    return "These are not the trained model's logits."


@exercise("12.19", "Merged, saved, and it babbles", difficulty=2, minutes=8)
def exercise_12_19(merged: Callable[[Any], Any]) -> str | None:
    outcome = trials.tied(counted(merged), steps=6)
    if max(outcome.in_memory, outcome.reloaded) < 1e-3 and not outcome.config_ties:
        return None
    if outcome.in_memory < 1e-3:
        return (
            "Right in memory, but the configuration still ties head and embedding: transformers 4.56, for one, makes "
            "them one again at loading, and then the merge is lost. Set config.tie_word_embeddings = False, too."
        )
    if outcome.embedding > 0 and not outcome.config_ties:
        return (
            "The merge changed the embedding, too: the configuration says that they are apart, but when you merged, "
            "both names were still one tensor. Give the head a clone of its weight first."
        )
    if outcome.embedding > 0:
        return (
            "The merge changed the embedding together with the head: they are one tensor. Give the head a weight of "
            "its own before you merge."
        )
    return (
        "The embedding is as it was, but the logits are not those with the adapter on: was the adapter merged at all?"
    )


@exercise("12.16", "The new voice never came", difficulty=1, minutes=5)
def exercise_12_16(add_second: Callable[[Any], torch.optim.Optimizer]) -> str | None:
    def add(model: Any) -> torch.optim.Optimizer:
        optimizer = answered(add_second(model))
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise _Refused("Return the optimizer that trains the second adapter.")
        if "second" not in model.peft_config:
            raise _Refused("There is no adapter called 'second' on the model: add_adapter comes first.")
        return optimizer

    try:
        outcome = trials.second_adapter(add, steps=3)
    except _Refused as refused:
        return str(refused)
    except (ValueError, RuntimeError) as error:
        if "empty parameter list" in str(error) or "does not require grad" in str(error):
            return (
                "The second adapter is not active: no batch passes through it, so nothing that may learn is part of "
                "the loss. set_adapter makes it active and trainable."
            )
        raise
    if outcome.base:
        return f"{outcome.base} tensors of the base moved: the optimizer should hold the second adapter alone."
    if outcome.second and not outcome.first:
        return None
    if outcome.second:
        return f"The second adapter learns now, but {outcome.first} tensors of the first one moved with it."
    if outcome.first:
        return (
            "Still the first one: its tensors moved and the second's did not. "
            "add_adapter does not switch to what it adds."
        )
    return (
        "Nothing moves: the second adapter is active, and the optimizer holds the first one's tensors, because it was "
        "built before the switch."
    )


class _Refused(Exception):
    """What was returned cannot be tried."""


@exercise("12.17", "It fits now, and learns a little", difficulty=2, minutes=6)
def exercise_12_17(save_memory: Callable[[Any], Any]) -> str | None:
    outcome = trials.checkpointed(counted(save_memory), steps=1)
    if any(run < 2 for run in outcome.runs) and outcome.heard == outcome.of:
        return (
            "Every adapter learns, but not every block is computed twice: without checkpointing, "
            "everything is kept again."
        )
    if outcome.heard < outcome.of:
        return (
            f"{outcome.heard} of {outcome.of} lora_B get a gradient. A reentrant checkpoint whose input asks for none "
            "hands none on, to any layer inside. (requires_grad_(True) on the base does not last: "
            "get_peft_model freezes the base.)"
        )
    if outcome.apart > 1e-6:
        return "Every lora_B gets a gradient, but not the one that it has without checkpointing."
    return None


@exercise("12.18", "It fits, for a while", difficulty=1, minutes=6)
def exercise_12_18(learners: Callable[[Any, torch.optim.Optimizer, list[Tensor], list[Tensor]], Any]) -> str | None:
    (alive, losses), (healthy, right) = trials.an_epoch(counted(learners)), trials.an_epoch(epoch)
    if len(alive) != len(healthy):
        return "Train on every batch and look at every held-out one, each once, as the exhibit does."
    # the pass before may still have its loss, under its own name
    if (graphs := alive[trials.STEPS - 1][0]) > 1:
        return (
            f"Still {graphs} graphs at the last step: what you keep is a tensor, which holds on to the graph that it "
            "came from. Keep its number."
        )
    if alive[-2][0] > 1:
        return (
            "Training lets go, and the held-out rows leave {} graphs and {} saved tensors. eval() switches dropout "
            "off, not the graph."
        ).format(*alive[-2])
    if len(got := [float(loss) for loss in losses]) == 2 and math.dist(got, right) < 1e-3:
        return None
    return "Nothing grows, and these are not the two means, of training and of the held-out rows, of the exhibit."


@exercise("12.20", "It learned on the other card", difficulty=2, minutes=8)
def exercise_12_20(gradients_in_fp16: Callable[[Any, Tensor, int], dict[str, Tensor]]) -> str | None:
    given = []

    def computed(model: Any, ids: Tensor, parts: int) -> dict[str, Tensor]:
        grads = answered(gradients_in_fp16(model, ids, parts))
        given.append({p.dtype for name, p in model.named_parameters() if "lora_" not in name})
        given.append({p.dtype for name, p in model.named_parameters() if "lora_" in name})
        return grads

    outcome = trials.in_fp16(computed)
    if given[0] != {torch.float16}:
        return "The base is in another format now. On this card fp16 is all there is: keep it, and scale the loss."
    if given[1] != {torch.float32}:
        return (
            "A and B are no longer in fp32. A GradScaler stops at that, "
            "and so small an update is lost when it is added to them."
        )
    if not outcome.finite:
        return (
            "Infinity or NaN: the factor is so large that gradients pass 65,504, the largest number of fp16. Try 4096."
        )
    if outcome.cosine > 0.99 and not 0.9 < outcome.size < 1.1:
        return (
            f"The direction is right, and the gradients are {outcome.size:,.4g} times as large as they are: divide by "
            "the factor that you multiplied the loss with."
        )
    if outcome.cosine < 0.99:
        return (
            f"{outcome.zeros:.0%} of the gradients' numbers are zero. They were lost on the way back, so what is done "
            "to them afterwards comes too late: multiply the loss, before backward()."
        )
    if outcome.zeros > 0.01:
        return (
            f"{outcome.zeros:.0%} of the numbers are zero although the loss was scaled: they were divided in fp16. "
            "Divide in fp32."
        )
    return None


@exercise("12.21", "A second round for last month's adapter", difficulty=1, minutes=5)
def exercise_12_21(go_on: Callable[[Any, Path], Any]) -> str | None:
    def loaded(net: Any, folder: Path) -> Any:
        model = answered(go_on(net, folder))
        if not isinstance(model, PeftModel):
            raise _Refused("Return the model with its adapter on it, which is a PeftModel.")
        return model

    try:
        outcome = trials.continued(loaded, steps=3)
    except _Refused as refused:
        return str(refused)
    except (ValueError, RuntimeError) as error:
        if "empty parameter list" in str(error) or "does not require grad" in str(error):
            return FROZEN
        raise
    if not outcome.trainable:
        return FROZEN
    if outcome.other_file:
        return "The folder is another one now: read it, and leave it as it is."
    if outcome.base_moved:
        return (
            f"{outcome.base_moved} tensors of the base moved: only A and B should learn, so do not unfreeze everything."
        )
    if abs(outcome.begins - outcome.first_ended) > 1e-3:
        return (
            f"It trains, and has forgotten the first round, whose loss begins at {outcome.begins:.2f} where it had "
            f"ended at {outcome.first_ended:.2f}: that is a fresh adapter. A and B must come from the folder."
        )
    if outcome.from_file > outcome.ends + 1e-3:
        return (
            "Merged first, a new adapter trains well, but its file holds the second round alone: on the bare base it "
            "is not what you trained. Go on with the adapter itself."
        )
    return None if outcome.moved == outcome.of else f"Only {outcome.moved} of {outcome.of} tensors of A and B moved."


FROZEN = (
    "Still frozen: no A and no B asks for a gradient. train() does not change that; "
    "from_pretrained has an argument for it."
)


# ---- the hall repaired


def load(net: Any, folder: Path) -> Any:
    """12.15: the keys of the file say what the modules are called in `net`."""
    renamed = {
        key.replace(".net.", ".", 1): tensor for key, tensor in load_file(folder / "adapter_model.safetensors").items()
    }
    model = get_peft_model(net, LoraConfig.from_pretrained(str(folder)))
    set_peft_model_state_dict(model, renamed)
    return model


def add_second(model: Any) -> torch.optim.Optimizer:
    """12.16: switch to the new adapter before the optimizer asks what is trainable."""
    model.add_adapter("second", lora_config())
    model.set_adapter("second")
    return adamw(model.parameters())


def save_memory(net: Any) -> Any:
    """12.17: a checkpoint that does not ask whether its input wants a gradient."""
    for block in net.model.layers:
        whole = block.forward
        block.forward = lambda x, whole=whole, **more: checkpoint(partial(whole, **more), x, use_reentrant=False)
    return net


def epoch(
    model: Any, optimizer: torch.optim.Optimizer, batches: list[Tensor], held_out: list[Tensor]
) -> tuple[float, float]:
    """12.18: add numbers, and look at the held-out rows without a graph."""
    losses = [learn(model, optimizer, 1, ids)[0] for ids in batches]
    held = [loss_of(model, ids) for ids in held_out]
    return sum(losses) / len(losses), sum(held) / len(held)


def merged(model: Any) -> Any:
    """12.19: a head of its own, in the weights and in the configuration, before the merge."""
    head = model.get_base_model().lm_head.base_layer
    head.weight = nn.Parameter(head.weight.detach().clone())
    model.get_base_model().config.tie_word_embeddings = False
    return model.merge_and_unload()


def gradients_in_fp16(model: Any, ids: Tensor, parts: int) -> dict[str, Tensor]:
    """12.20: a large loss has gradients that fp16 can hold; A and B hold them in fp32, where they are divided."""
    scale = 2.0**12
    (scale * model(input_ids=ids, labels=ids).loss / parts).backward()
    return {name: p.grad.float() / scale for name, p in model.named_parameters() if "lora_B" in name}


def go_on(net: Any, folder: Path) -> Any:
    """12.21: say that the adapter is loaded in order to train."""
    return PeftModel.from_pretrained(net, str(folder), is_trainable=True)
