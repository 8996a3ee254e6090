"""What is looked at beside the held-out loss: forgetting along a run, intruder dimensions,
and how far a voice spills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from lora_lessons import evaluation, models, tasks, training
from lora_lessons.lowrank import svd
from lora_lessons.tasks import scores
from lora_tools.papers.arms import CURVE, INTRUDERS, NEAR, REACH, SCALED, SPILLS, STEERS

LOOK = 6  # steps from one look along a run to the next
TOP = 10  # k of reduce_intruder_dimension in PEFT 0.21.2
KEPT = (0.75, 0.0)  # what is left of an intruder's singular value; PEFT's own setting first
TIMES = (1.0, 2.0, 4.0, 8.0)  # B alone, so many times as strong as it was, root mean square
ASKED, LONGEST = 24, 80  # held-out questions, and everyday ones where there are so many; tokens of an answer


class Watch:
    """A base and the model that trains around it, and what is asked of them. `fast`: products in bf16."""

    def __init__(
        self, base: models.Base, model: Any, task: tasks.Task, held_out: Sequence[tasks.Encoded], fast: bool
    ) -> None:
        self.base, self.model, self.task, self.held_out, self.fast = base, model, task, held_out, fast
        self.looks: list[dict[str, float]] = []
        self.asked = [one["messages"][-2]["content"] for one in evaluation.drawn(task, ASKED)]

    def state(self) -> dict[str, float]:
        """Held-out loss, and the perplexity of text of no task."""
        with torch.autocast(self.base.model.device.type, torch.bfloat16, enabled=self.fast):
            general = evaluation.perplexity(self.base, tasks.general_text())
        return {"loss": evaluation.held_out_loss(self.model, self.held_out, autocast=self.fast), "general": general}

    def in_form(self, questions: Sequence[str]) -> float:
        """The share of greedy answers in the task's form."""
        with torch.autocast(self.base.model.device.type, torch.bfloat16, enabled=self.fast):
            answers = models.answers(self.base, questions, LONGEST, batch_size=ASKED)
        return sum(scores.looks_like(self.task.name, answer) for answer in answers) / len(answers)

    def along(self, run: training.Training) -> None:
        """After every LOOK steps: loss, perplexity, and everyday answers in the task's form."""
        if len(run.losses) % LOOK == 0:
            self.looks.append({"step": len(run.losses)} | self.state() | {"drift": self.in_form(self.everyday)})

    @property
    def everyday(self) -> list[str]:
        return tasks.everyday_questions()[:ASKED]

    def at_the_end(self, watched: Sequence[str], before: Mapping[str, Tensor]) -> dict[str, Any]:
        """What is `watched`, by its name; `before` holds the weights before training."""
        looks: dict[str, Callable[[], Any]] = {
            CURVE: lambda: self.looks,
            INTRUDERS: lambda: intruders(self.base.model, before),
            REACH: lambda: reach((W, after - W) for W, after in _changed(self.base.model, before)),
            SCALED: lambda: list(self.scaled()),
            SPILLS: lambda: self.spilled() | {"held_out": self.in_form(self.asked)},
            STEERS: lambda: list(self.steered()),
        }
        return {name: look() for name, look in looks.items() if name in watched}

    def scaled(self) -> Iterator[dict[str, float]]:
        """The state as trained, and with every intruder scaled down by PEFT to each of KEPT."""
        from peft.tuners.lora.intruders import reduce_intruder_dimension

        yield {"kept": 1.0} | self.state()
        for kept in KEPT:
            name = f"kept_{kept:g}".replace(".", "_")
            # PEFT 0.21.2 keeps this share of the singular value, though its help says that it is subtracted
            reduce_intruder_dimension(
                self.model,
                new_adapter_name=name,
                top_k=TOP,
                threshold_epsilon=NEAR,
                mitigation_lambda=kept,
                logging_sink=None,
            )
            yield {"kept": kept} | self.state()
        self.model.set_adapter("default")

    def spilled(self) -> dict[str, float]:
        """The share of answers in the task's form to the everyday questions,
        and to others that are no closer to the task."""
        elsewhere = [pair["prompt"] for pair in tasks.load_pairs().held_out]
        return {"everyday": self.in_form(self.everyday), "elsewhere": self.in_form(elsewhere), "asked": len(elsewhere)}

    def steered(self) -> Iterator[dict[str, float]]:
        """The adapter off, and B of its one matrix added at every position, as strongly as trained and stronger.

        How strongly is (α/r)·A·x over the positions that write an answer: its root mean square,
        and the sign of its mean.
        """
        layer: Any
        (layer,) = (one for one in self.model.modules() if hasattr(one, "lora_A") and len(one.lora_A))
        A, B = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
        seen: list[Tensor] = []
        for one in self.held_out:
            writes = (one.labels[1:] != tasks.IGNORED).to(A.device)
            with _hook(layer, lambda x, h, writes=writes: seen.append((x[0, :-1][writes].float() @ A.T).flatten())):
                evaluation.held_out_loss(self.model, [one])
        pushes = torch.cat(seen)
        push = layer.scaling["default"] * float(pushes.square().mean().sqrt() * pushes.mean().sign())
        with self.model.disable_adapter():
            for times in TIMES:
                with _hook(layer, lambda x, h, times=times: h + (times * push * B[:, 0]).to(h.dtype)):
                    loss = evaluation.held_out_loss(self.model, self.held_out)
                    yield {"times": times, "loss": loss} | self.spilled()


@contextmanager
def _hook(layer: nn.Module, see: Any) -> Iterator[None]:
    """While the block runs, see(x, h) is asked after the layer; a tensor that it returns takes h's place."""

    def after(_: nn.Module, inputs: tuple[Tensor, ...], h: Tensor) -> Tensor | None:
        seen = see(inputs[0], h)
        return seen if isinstance(seen, Tensor) else None

    handle = layer.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def needs_copies(watched: Sequence[str]) -> bool:
    """Whether the weights before training are asked for."""
    return INTRUDERS in watched or REACH in watched


def copies(model: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """The weights of these layers as they are now."""
    return {name: model.get_submodule(name).weight.detach().clone() for name in names}


@torch.no_grad()
def intruders(model: Any, before: Mapping[str, Tensor]) -> float:
    """Intruder dimensions a matrix: of its TOP strongest left singular directions, those that are like none of W's own.

    Like is a cosine of at least NEAR (Shuttleworth et al. 2024, as PEFT 0.21.2 counts them).
    """
    pairs = tqdm(_changed(model, before), desc="intruder dimensions", leave=False, total=len(before))
    return sum(int((nearest(W, after) < NEAR).sum()) for W, after in pairs) / len(before)


def nearest(W: Tensor, after: Tensor) -> Tensor:
    """For each of the TOP strongest left directions of a changed W: its largest cosine to one of W's own."""
    return (svd(after).U[:, :TOP].T @ svd(W).U).abs().amax(1)


def reach(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The median, over pairs of W and ΔW, of ΔW's largest singular value over the TOP-th of W.

    Well below 1 what ΔW writes is too weak to be among the TOP strongest directions of W + ΔW: no intruder can be.
    """
    return median(float(svd(change).S[0] / svd(W).S[TOP - 1]) for W, change in pairs)


def _changed(model: Any, before: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    # each W before training, and after it
    for name, W in before.items():
        layer = model.get_submodule(name)
        yield (
            W,
            layer.get_base_layer().weight + layer.get_delta_weight("default")
            if hasattr(layer, "lora_A")
            else layer.weight,
        )
