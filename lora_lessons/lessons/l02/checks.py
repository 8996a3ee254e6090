"""Exercise 02.1: the learner's LoRA layer, looked at from outside and inside; each likely mistake has its sentence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...course import layers
from ...course.exercises import Remark, Unsolved, by, exercise, tried, wrong_if
from ...course.layers import ALPHA, R

D, K = 5, 4
WIDE = 576  # inputs of the layer on which A's size is looked at: those of our base


class Theirs(NamedTuple):
    """One of the learner's two matrices: its letter, the shape that PEFT gives it, in numbers and letters, its name in
    the layer, and whether it lies turned round."""

    letter: str
    shape: tuple[int, int]
    letters: str
    name: str
    turned: bool = False

    def held(self, layer: Any) -> Any:
        """What the layer holds."""
        return attrgetter(self.name)(layer)

    def of(self, layer: Any) -> Tensor:
        """The same as PEFT keeps it, outputs × inputs: A is r×k, B is d×r."""
        matrix: Tensor = self.held(layer)
        return matrix.T if self.turned else matrix

    @property
    def plain(self) -> str:
        """Its name, also where it is an nn.Linear's weight."""
        return self.name.removesuffix(".weight")

    @property
    def on_the_right(self) -> str:
        """How rows are multiplied by it."""
        return self.letter if self.turned else f"{self.letter}.T"


@exercise("02.1", "Your LoRA layer", difficulty=2, minutes=15, keeps="my_lora")
def exercise_02_1(answer: Any) -> str | None:
    layers.a_class(answer, "MyLoRA")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return _judged(answer)


def _judged(answer: Any) -> str | None:
    """Stop at the first mistake; what comes later may take for granted that it is not there."""
    base = nn.Linear(K, D)
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    set_up = "nn.Module must be set up first: begin __init__ with super().__init__()."
    layer = tried(lambda: answer(base, R, ALPHA), (AttributeError, "before Module.__init__", set_up))
    x, own = torch.randn(6, K), _own(layer, base)
    A, B = _find(own, "A", (R, K), "r×k"), _find(own, "B", (D, R), "d×r")
    missing = "There is no matrix called lora_{0}: set self.lora_{0} in __init__. Its shape is {1}."
    wrong_if((A is None, missing.format("A", "r×k")), (B is None, missing.format("B", "d×r")))
    _inside(layer, base, A, B)
    A, B = (one._replace(turned=one.held(layer).shape != one.shape) for one in (A, B))
    _outside(layer, base, x, A, B)
    start = A.of(layer).detach().clone()
    _start(start, B.of(layer).detach())
    with torch.no_grad():
        A.of(layer).copy_(torch.randn(R, K))
        B.of(layer).copy_(torch.randn(D, R))
    _values(layer, base, x, A, B)
    _gradients(layer, base, x, A, B)
    other, tokens = nn.Linear(7, 6, bias=False), torch.randn(3, 7)
    small = answer(other, 2, 3.0)
    layers.other_settings(small, A.of(small), B.of(small), tokens, other(tokens), "base_layer")
    wrong_if(
        (
            any(not torch.equal(p, before[name]) for name, p in base.named_parameters()),
            "W was written to. LoRA leaves W as it is and adds the update to the output.",
        ),
        (
            not _takes_sequences(layer),
            "That works for a table of inputs, but a model feeds (batch × tokens × k). Multiply as x @ A.T, "
            "not A @ x.T.",
        ),
    )
    layers.size(A.of(answer(nn.Linear(WIDE, WIDE, bias=False), 8, 16)), "The layer is right, and ")
    layers.drawn(lambda: A.of(answer(nn.Linear(K, D), R, ALPHA)))
    if (start >= 0).all() or (start <= 0).all():
        return Remark(
            "One thing to know: all numbers of your A have one sign, so at first all r of the path's numbers say "
            "nearly the same. Spread them around 0: 2 * torch.rand(r, k) - 1, times 1/√k."
        )
    return _conventions(A, B)


def _own(layer: Any, base: nn.Linear) -> dict[str, Tensor]:
    """Every tensor that the layer holds besides its base, by name. Raises Unsolved where nothing is there yet."""
    held = [*layer.named_parameters(), *layer.named_buffers()]
    held += [(name, part) for name, part in vars(layer).items() if isinstance(part, Tensor)]
    own = {name: part for name, part in held if not any(part is one for one in base.parameters())}
    if not own and not any(isinstance(p, (list, tuple, dict)) and n[0] != "_" for n, p in vars(layer).items()):
        raise Unsolved
    return own


def _find(own: Mapping[str, Tensor], letter: str, shape: tuple[int, int], letters: str) -> Any:
    """The matrix of that letter, by name or else by shape; None where there is none, or more than one."""
    named = [name for name in (f"lora_{letter}", f"lora_{letter}.weight") if name in own]
    names = named or [name for name, part in own.items() if tuple(part.shape) in (shape, shape[::-1])]
    return Theirs(letter, shape, letters, names[0]) if len(names) == 1 else None


def _inside(layer: Any, base: nn.Linear, A: Theirs, B: Theirs) -> None:
    """What is wrong with the layer's parts: their kinds and shapes, and who trains."""
    trains = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    for one in (A, B):
        wrong_if(
            (
                not isinstance(one.held(layer), nn.Parameter),
                f"{one.plain} is a plain tensor, so no optimizer would find it. Wrap it: nn.Parameter(…).",
            ),
            (
                not one.held(layer).requires_grad,
                f"{one.plain} does not train: it was made with requires_grad=False, or frozen together with the base.",
            ),
        )
    wrong_if(
        (
            [sorted(one.held(layer).shape) for one in (A, B)] == [sorted(B.shape), sorted(A.shape)],
            "A and B have changed places. x meets A (r×k) first; B (d×r) leads from the narrow path to the output.",
        )
    )
    for one in (A, B):
        have = tuple(one.held(layer).shape)
        wrong_if(
            (
                have == one.shape[::-1] and one.plain != one.name,
                "nn.Linear takes its inputs first and keeps outputs × inputs: A is nn.Linear(k, r), B is "
                "nn.Linear(r, d).",
            ),
            (
                have not in (one.shape, one.shape[::-1]),
                f"{one.name} has the shape {by(have)}; for r = {R} on a layer with {K} inputs and {D} outputs it "
                f"must be {one.letters}, {by(one.shape)}.",
            ),
        )
    wrong_if(
        (
            any(p is base.weight for p in trains.values()),
            "W still trains. Freeze the base layer in __init__: base_layer.requires_grad_(False).",
        ),
        (
            any(p is base.bias for p in trains.values()),
            "W is frozen and its bias is not. Freeze the whole base layer: base_layer.requires_grad_(False).",
        ),
        *(
            (True, f"Your {one.letter} has a bias, and LoRA's has none. Leave it out: nn.Linear(…, bias=False).")
            for one in (A, B)
            if one.plain != one.name and f"{one.plain}.bias" in trains
        ),
        *(
            (True, f"Something besides A and B trains: {name}. Only lora_A and lora_B should.")
            for name in trains
            if name not in (A.name, B.name)
        ),
    )


def _outside(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> None:
    """What is wrong with what the layer returns, before its values are looked at."""
    h = tried(
        lambda: layer(x),
        (
            RuntimeError,
            "shape|size",
            f"The shapes do not fit in forward ({{}}). x holds one input per row: x @ {A.on_the_right} is (rows × "
            f"r), and that @ {B.on_the_right} is (rows × d). A comes first, then B.",
        ),
        (
            AttributeError,
            "'Linear' object has no attribute 'T'",
            "An nn.Linear is called, self.lora_A(x), or its matrix is taken: x @ self.lora_A.weight.T.",
        ),
    )
    shape = tuple(getattr(h, "shape", ()))
    wrong_if(
        (
            h is None or h is ...,
            "__init__ has its matrices; forward returns nothing yet. It returns h, one row for each row of x.",
        ),
        (not isinstance(h, Tensor), f"forward must return a tensor; yours returns a {type(h).__name__}."),
        (shape != (len(x), D), f"forward must return (rows × d) = {len(x)}×{D}; yours returns {by(shape)}."),
    )
    lost = not torch.allclose(h, base(x), atol=1e-5) and torch.allclose(h + base.bias, base(x), atol=1e-5)
    wrong_if((lost, "The base layer's bias is lost. Call self.base_layer(x), which adds it, instead of x @ W.T."))


def _start(A: Tensor, B: Tensor) -> None:
    """What is wrong with the numbers that A and B start from."""
    wrong_if(
        (
            not torch.isfinite(A).all() or not torch.isfinite(B).all(),
            "lora_A or lora_B holds NaN or infinity: torch.empty only reserves memory. Fill both with numbers.",
        ),
        (
            not A.any() and B.any(),
            "A is zero and B is random. That learns, too, but the paper and PEFT have it the other way: B = 0, A "
            "random.",
        ),
        (
            not A.any(),
            "A and B are both zero: that is the saddle on the map. Both gradients are zero, so nothing ever learns.",
        ),
        (
            B.any(),
            "B does not start at zero, so B·A is not zero and the model is changed before it has learned anything.",
        ),
        (
            int(torch.linalg.matrix_rank(A.nan_to_num(0, 0, 0))) < R,
            "A's rows are all alike, so r directions do the work of one. Draw A at random.",
        ),
    )


def _values(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> None:
    """What is wrong with h, now that neither A nor B is zero."""
    h, Wx, BAx = layer(x), base(x), x @ A.of(layer).T @ B.of(layer).T
    layers.values(h, Wx, BAx, "self.base_layer(x)", base.bias)
    right = Wx + ALPHA / R * BAx
    trains, answers = torch.allclose(h, right, atol=1e-5), torch.allclose(layer.eval()(x), right, atol=1e-5)
    layer.train()
    wrong_if(
        (
            trains and not answers,
            "The values are right in training only; a model that answers is in evaluation mode.",
        ),
        (
            answers and not trains,
            "The values are right in evaluation mode only. Leave dropout out here: lesson 03 compares them in "
            "training.",
        ),
        (
            not trains,
            "The shapes are right and the values are not. Take self.base_layer(x), add α/r times x @ A.T @ B.T.",
        ),
    )


def _gradients(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> None:
    """Whether A and B can learn, and the layers before this one."""
    x = x.clone().requires_grad_()
    h = layer(x)
    if h.requires_grad:
        h.square().sum().backward()
    layers.learn(**{one.name: one.held(layer) for one in (A, B)})
    W = base.weight.detach() + ALPHA / R * B.of(layer).detach() @ A.of(layer).detach()
    wrong_if(
        (
            x.grad is None or not torch.allclose(x.grad, 2 * h.detach() @ W, rtol=1e-3, atol=1e-3),
            "W is frozen, but the gradient must still pass to the layers before: through W, B and A, without no_grad "
            "or .detach().",
        )
    )


def _takes_sequences(layer: Any) -> bool:
    """A language model feeds a batch of sequences: (batch × tokens × k)."""
    x = torch.randn(2, 6, K)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .T of more than two axes
        try:
            h = layer(x)
        except (RuntimeError, IndexError):
            return False
    return h.shape == (2, 6, D) and torch.allclose(h[1], layer(x[1]), atol=1e-5)


def _conventions(A: Theirs, B: Theirs) -> Remark | None:
    """What to say of a layer that works, where its names or shapes are not those of PEFT."""
    own = [one.name for one in (A, B) if one.plain != f"lora_{one.letter}"]
    wrong_if(
        (
            own,
            "Your layer works, and only its names are your own. Call the matrices lora_A and lora_B (not "
            f"{' and '.join(own)}): lesson 03 looks for these names, and so do the files of every adapter.",
        )
    )
    turned = " and ".join(f"your {one.letter} is {one.letters[::-1]}" for one in (A, B) if one.turned)
    return (
        turned
        and Remark(
            f"One thing to know: {turned}. For row vectors that is the right way round, and some texts write it so. "
            "PyTorch and PEFT keep a weight as outputs × inputs, A as r×k and B as d×r."
        )
        or None
    )
