"""Exercises of lesson 03: the training loop in two steps, the loss and the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ... import lora
from ...course.exercises import Remark, Unsolved, answered, exercise, tried, wrong_if, wrong_like
from ...tasks import IGNORED
from . import by_hand


@exercise(
    "03.1",
    "The loss of an answer",
    difficulty=2,
    minutes=10,
    keeps="answer_loss",
    imports="from torch.nn.functional import cross_entropy\n",
)
def exercise_03_1(loss_of: Callable[[Tensor, Tensor], Any]) -> None:
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(4)).requires_grad_()
    labels = torch.tensor([[-100, -100, 3, 1, 2], [5, 4, 2, -100, -100]])  # nothing predicts the 5
    failed = (RuntimeError, ValueError, IndexError)
    value = tried(
        lambda: answered(loss_of(logits, labels.clone())),
        (
            failed,
            "view size",
            "view needs numbers that lie in one piece in memory, and those of a slice do not: use reshape or flatten.",
        ),
        (
            failed,
            "-100 is out of bounds",
            "−100 is no token, so nothing can be looked up there: cross_entropy skips such a label by itself.",
        ),
        (
            failed,
            "size|shape|dim",
            "The shapes do not fit ({}). cross_entropy wants a row of logits for each label: drop a place at one end "
            "of each, then flatten(0, 1) the logits and flatten() the labels.",
        ),
    )
    as_tensor = "Return the loss as a tensor, without .item(): backward() starts from it."
    wrong_if((not isinstance(value, Tensor), as_tensor))
    wrong_if(
        (value.numel() != 1, f"Return one number, the mean over the supervised tokens; yours has {value.numel()}.")
    )
    back = value.requires_grad and torch.autograd.grad(value, logits, retain_graph=True, allow_unused=True)[0]
    lost = "Your loss has lost its way back to the logits: no detach(), no new tensor, no torch.no_grad()."
    wrong_if((not isinstance(back, Tensor), lost))
    _like_a_mistake(value, logits, labels)
    right = by_hand.answer_loss(logits, labels)
    said = f"The mean of these supervised tokens is {right.item():.4f} nats; yours is {value.item():.4f}."
    wrong_if((not torch.allclose(value, right, atol=1e-5), said))
    more = (
        torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(5)),
        torch.tensor([[-100, 1, 8, 2, 0, 7]] * 3),
    )
    same = torch.allclose(loss_of(*more), by_hand.answer_loss(*more), atol=1e-5)
    wrong_if((not same, "Right for five tokens of seven words, wrong for six of nine: use the shapes as given."))


def _like_a_mistake(value: Tensor, logits: Tensor, labels: Tensor) -> None:
    """The losses that come of the mistakes people make."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits.flatten(0, -2), labels.flatten())

    ahead, following = logits[:, :-1], labels[:, 1:]
    right, taught = loss(ahead, following), (following != IGNORED).sum()
    wrong_like(
        value,
        (loss(logits, labels), _NOT_SHIFTED),
        (loss(ahead, labels[:, :-1]), _NOT_SHIFTED),
        (loss(logits[:, 1:], labels[:, :-1]), (
            "You shifted the wrong way: the logits at place i belong to the label at i + 1, not at i − 1."
        )),
        (loss(logits.flatten(0, 1)[:-1], labels.flatten()[1:]), (
            "You shifted once for the whole batch, so the end of a row predicts the start of the next, another "
            "conversation. Shift every row, `[:, :-1]` and `[:, 1:]`, before you flatten."
        )),
        (loss(logits[:, :-2], labels[:, 2:]), "You shifted by two places. One is right."),
        (right * taught, "That is the sum. Divide by the number of supervised tokens: cross_entropy's default does."),
        (right * taught / following.numel(), "Hidden places are in your mean: divide by the supervised tokens alone."),
        (loss(logits, labels.roll(-1, 1)), (
            "roll brings a row's first token to its end, where the row's last logits would predict it: cut both, "
            "do not roll."
        )),
        (right * taught / (labels != IGNORED).sum(), (
            "You also counted a row's first token, which nothing predicts: count the labels that are left, "
            "`labels[:, 1:]`."
        )),
        (loss(ahead, following.clamp(min=0)), (
            "Hidden places are taught as token 0: leave their label at −100, which cross_entropy skips."
        )),
        (right * taught / len(labels), "You divided by the conversations. Divide by the supervised tokens."),
        (sum(map(loss, ahead, following)) / len(labels), (
            "That is the mean of two means. Every supervised token counts once, whichever row it stands in."
        )),
        (loss(ahead.softmax(-1), following), "cross_entropy takes the softmax itself: give it the logits as they are."),
        (loss(logits[:-1], labels[1:]), (
            "You shifted along the batch. The tokens are the second axis: `[:, :-1]` and `[:, 1:]`."
        )),
        (-right, "The sign is turned round: a loss of 0 is certainty, and it is never below."),
        (right.exp(), "That is the perplexity, e to the loss."),
    )  # fmt: skip


_NOT_SHIFTED = (
    "Nothing is shifted. After reading token i the model predicts token i + 1, "
    "so the logits at i belong to the label at i + 1."
)


class _Answer:
    """What the toy returns: logits, and a word for who asks for its loss."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def loss(self) -> Tensor:
        raise AttributeError("the toy computes no loss: give its logits and the batch's labels to answer_loss.")


class _Toy(nn.Module):
    """Twelve tokens, one adapted layer, before which each token hears those before it;
    remembers in which mode it was asked."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(6)
            self.embed, self.head = nn.Embedding(12, 6), nn.Linear(6, 12)
            nn.init.normal_(self.head.weight, std=2)  # gradients longer than 1, which clipping shortens
            self.layer = lora.LoRALinear(nn.Linear(6, 6), 2, 4.0)
        self.asked: list[bool] = []
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> _Answer:
        self.asked.append(self.training)
        read = self.embed(input_ids)
        shown = read if attention_mask is None else read * attention_mask[..., None]
        return _Answer(self.head(self.layer(shown.cumsum(1))))

    def base(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.named_parameters() if "lora_" not in name}


def _batches() -> list[dict[str, Tensor]]:
    ids = torch.randint(0, 12, (3, 2, 5), generator=torch.Generator().manual_seed(7))
    labels = ids.clone()
    labels[:, :, :2] = IGNORED
    shown = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]])  # the second row begins with padding
    return [{"input_ids": i, "attention_mask": shown, "labels": l} for i, l in zip(ids, labels, strict=True)]


RATE = 0.05


@exercise(
    "03.2",
    "The training loop",
    difficulty=3,
    minutes=15,
    keeps="train_by_hand",
    imports="""
from lora_lessons.course.own_code import own
from lora_lessons.lessons.l03_train_lora import by_hand

answer_loss = own("answer_loss", "03.1", otherwise=by_hand.answer_loss)
""",
)
def exercise_03_2(train: Callable[[Any, Any, float], Any]) -> str | None:
    toy = _Toy()
    before = toy.base()
    losses = tried(
        lambda: train(toy, _batches(), RATE),
        (
            AttributeError,
            "ellipsis|NoneType",
            "answer_loss returns nothing yet: solve exercise 03.1 first, and run its cell again.",
        ),
        (
            ValueError,
            "empty parameter list",
            "The optimizer got nothing. A parameter's name is a path, such as layer.lora_A: "
            "look for lora_ anywhere in it.",
        ),
        (
            RuntimeError,
            "inplace",
            "The optimizer steps between the forward pass and backward. First backward, which needs the old numbers.",
        ),
        (
            RuntimeError,
            "does not require grad",
            "Nothing that the loss depends on trains. Once all is frozen, thaw lora_A and lora_B: "
            "p.requires_grad_(True).",
        ),
    )
    if not toy.asked:
        raise Unsolved
    wrong_if(
        (losses is None or losses is ..., "It trained, and told nobody: return the list of losses."),
        (
            not isinstance(losses, (list, tuple)),
            f"Return a list with the loss of each step; you returned a {type(losses).__name__}.",
        ),
    )
    moved = [name for name, p in toy.named_parameters() if name in before and not torch.equal(p, before[name])]
    wrong_if(
        (
            any(isinstance(loss, Tensor) for loss in losses),
            "Append numbers, loss.item(): a tensor that is kept, and not detached, keeps its whole step in memory.",
        ),
        (
            len(losses) != 3,
            f"Three batches make three steps; you returned {len(losses)} {'loss' if len(losses) == 1 else 'losses'}.",
        ),
        (
            moved,
            f"{''.join(moved[:1])} has moved, and it belongs to the base: "
            "let the optimizer have lora_A and lora_B alone.",
        ),
    )
    remark = _mistake(toy, losses)
    in_eval = "The model was in eval mode, in which layers for training alone do nothing: call model.train() first."
    wrong_if((not all(toy.asked), in_eval))
    if any(p.grad is not None for name, p in toy.named_parameters() if name in before):
        return Remark(
            "One thing to know: the base got gradients that nobody used. model.requires_grad_(False), and True again "
            "for lora_A and lora_B, saves their memory."
        )
    return remark


def _mistake(toy: _Toy, losses: Sequence[float]) -> Remark | None:
    """Stop at the mistake that makes these losses, and the toy's A and B; what to add where they are right."""

    def made_by(**how: Any) -> bool:
        other = _Toy()
        pairs = [*zip(losses, _loop(other, **how), strict=True)]
        A_and_B = zip(toy.layer.parameters(), other.layer.parameters(), strict=True)
        return all(abs(a - b) < 1e-4 for a, b in pairs) and all(torch.allclose(a, b, atol=1e-4) for a, b in A_and_B)

    if made_by():
        return None
    named: list[tuple[dict[str, Any], str]] = [
        ({"zero": "never"}, "The old gradient is still there, and the new one is added to it: clear it in every step."),
        ({"zero": "last"}, (
            "Nothing moved. The gradient was cleared before the optimizer could read it, or backward or step is "
            "missing, or the optimizer has lora_A alone, which gets no gradient while B is zero."
        )),
        ({"late": True}, "The optimizer steps before there is a gradient, so that each step uses the batch before."),
        ({"taught": "input_ids"}, "The prompt is taught, too: give answer_loss the batch's labels, not its tokens."),
        ({"shift": False}, _NOT_SHIFTED),
        ({"mask": False}, (
            "The model never hears which tokens are padding, and reads them as text: give it "
            'batch["attention_mask"], too.'
        )),
        ({"clip": True}, (
            "You cut the gradient's length (clip_grad_norm_) before the step. Many recipes do; "
            "this loop leaves it as it is."
        )),
        ({"kind": torch.optim.SGD}, "That is plain gradient descent (SGD). Use torch.optim.AdamW."),
        ({"rate": 1e-3}, "You left AdamW its own learning rate, 0.001: give it lr=learning_rate."),
        ({"anew": True}, "The optimizer is made anew for every batch, and forgets: make it once, above the loop."),
    ]  # fmt: skip
    for how, sentence in named:  # AdamW's own decay, too, if it was left on
        wrong_if((made_by(**how) or made_by(**{"decay": 0.01} | how), sentence))
    if made_by(decay=0.01):
        return Remark(
            "One thing to know: by default AdamW also shrinks what it trains a little; weight_decay=0 turns that off."
        )
    start = dict(_Toy().layer.named_parameters())
    still = [name for name, p in toy.layer.named_parameters() if "lora_" in name and torch.equal(p, start[name])]
    ours, theirs = (", ".join(f"{loss:.3f}" for loss in one) for one in (_loop(_Toy()), losses))
    wrong_if(
        (min(losses) < 0, "The sign of the loss is turned round: it is never below 0."),
        (still, f"{''.join(still[:1])} has not moved: give the optimizer lora_A and lora_B."),
        (True, f"On the toy the losses should be {ours}; yours are {theirs}."),
    )
    return None


def _loop(
    toy: _Toy,
    zero: str = "first",
    taught: str = "labels",
    shift: bool = True,
    mask: bool = True,
    clip: bool = False,
    kind: Any = torch.optim.AdamW,
    rate: float = RATE,
    late: bool = False,
    anew: bool = False,
    decay: float = 0.0,
) -> list[float]:
    """The losses of the loop, right by default, or with one of the mistakes that people make."""
    ours = [p for name, p in toy.named_parameters() if "lora_" in name]
    optimizer, losses = kind(ours, lr=rate, weight_decay=decay), []
    for batch in _batches():
        if anew:
            optimizer = kind(ours, lr=rate, weight_decay=decay)
        if late:
            optimizer.step()
        if zero == "first":
            optimizer.zero_grad()
        logits, labels = toy(batch["input_ids"], batch["attention_mask"] if mask else None).logits, batch[taught]
        shifted = by_hand.answer_loss(logits, labels)
        loss = shifted if shift else cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(ours, 1.0)
        if zero == "last":
            optimizer.zero_grad()
        if not late:
            optimizer.step()
        losses.append(loss.item())
    return losses
