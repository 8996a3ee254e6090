"""Exercise 02.1: the learner's LoRA layer, looked at from outside and inside; each likely mistake has its sentence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...course import own_code
from ...course.exercises import Remark, Unsolved, exercise
from ...errors import holding

D, K, R, ALPHA = 5, 4, 3, 13.0  # 1, 2, r, α, α // r, α/√r and r/α all differ from α/r
WIDE = 576  # inputs of the layer on which A's size is looked at: those of our base
LARGEST = 4  # how many times 1/√k A's numbers may be, in the root of their mean square
SMALLEST = 0.01  # and how many they must be at least: in our base those of 0.02 and 0.001 that people take are above it


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
    if isinstance(answer, nn.Module):
        return "Give the class itself to the check: check(…, MyLoRA), without brackets behind it."
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return "MyLoRA must be a class that inherits from nn.Module, as in the stub."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return next(_faults(answer), None)


def _faults(answer: Any) -> Iterator[str]:
    """What is wrong with the layer, the first mistake first; what comes later may take for granted that it is not."""
    base = nn.Linear(K, D)
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    try:
        layer = answer(base, R, ALPHA)
    except AttributeError as error:
        if "before Module.__init__" not in str(error):
            raise
        yield "nn.Module must be set up first: begin __init__ with super().__init__()."
    x, own = torch.randn(6, K), _own(layer, base)
    A, B = _find(own, "A", (R, K), "r×k"), _find(own, "B", (D, R), "d×r")
    missing = [(f"lora_{letter}", letters) for one, letter, letters in ((A, "A", "r×k"), (B, "B", "d×r")) if not one]
    for name, letters in missing:
        yield f"There is no matrix called {name}: set self.{name} in __init__. Its shape is {letters}."
    yield from _inside(layer, base, A, B)
    A, B = (one._replace(turned=one.held(layer).shape != one.shape) for one in (A, B))
    yield from _outside(layer, base, x, A, B)
    start = A.of(layer).detach().clone()
    yield from _start(start, B.of(layer).detach())
    with torch.no_grad():
        A.of(layer).copy_(torch.randn(R, K))
        B.of(layer).copy_(torch.randn(D, R))
    yield from _values(layer, base, x, A, B)
    yield from _gradients(layer, base, x, A, B)
    yield from _other_settings(answer, A, B)
    touched = any(not torch.equal(p, before[name]) for name, p in base.named_parameters())
    yield from holding((touched, "W was written to. LoRA leaves W as it is and adds the update to the output."))
    yield from holding((not _takes_sequences(layer), _NO_SEQUENCES))
    yield from _size(answer, A)
    yield from filter(None, [own_code.not_drawn(lambda: A.of(answer(nn.Linear(K, D), R, ALPHA)))])
    if (start >= 0).all() or (start <= 0).all():
        yield Remark(_ONE_SIDED)
    yield from _conventions(A, B)


_NO_SEQUENCES = (
    "That works for a table of inputs, but a model feeds (batch × tokens × k). Multiply as x @ A.T, not A @ x.T."
)
_ONE_SIDED = (
    "One thing to know: all numbers of your A have one sign, so at first all r of the path's numbers say nearly the "
    "same. Spread them around 0: 2 * torch.rand(r, k) - 1, times 1/√k."
)


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


def _inside(layer: Any, base: nn.Linear, A: Theirs, B: Theirs) -> Iterator[str]:
    """What is wrong with the layer's parts: their kinds and shapes, and who trains."""
    trains = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    more = [name for name in trains if name not in (A.name, B.name)]
    biased = [one.letter for one in (A, B) if one.plain != one.name and f"{one.plain}.bias" in trains]
    for one in (A, B):
        yield from holding(
            (
                not isinstance(one.held(layer), nn.Parameter),
                f"{one.plain} is a plain tensor, so no optimizer would find it. Wrap it: nn.Parameter(…).",
            ),
            (
                not one.held(layer).requires_grad,
                f"{one.plain} does not train: it was made with requires_grad=False, or frozen together with the base.",
            ),
        )
    yield from holding(
        (
            [sorted(one.held(layer).shape) for one in (A, B)] == [sorted(B.shape), sorted(A.shape)],
            "A and B have changed places. x meets A (r×k) first; B (d×r) leads from the narrow path to the output.",
        )
    )
    for one in (A, B):
        have = tuple(one.held(layer).shape)
        yield from holding(
            (
                have == one.shape[::-1] and one.plain != one.name,
                "nn.Linear takes its inputs first and keeps outputs × inputs: A is nn.Linear(k, r), B is "
                "nn.Linear(r, d).",
            ),
            (
                have not in (one.shape, one.shape[::-1]),
                f"{one.name} has the shape {_times(have)}; for r = {R} on a layer with {K} inputs and {D} outputs it "
                f"must be {one.letters}, {_times(one.shape)}.",
            ),
        )
    yield from holding(
        (
            any(p is base.weight for p in trains.values()),
            "W still trains. Freeze the base layer in __init__: base_layer.requires_grad_(False).",
        ),
        (
            any(p is base.bias for p in trains.values()),
            "W is frozen and its bias is not. Freeze the whole base layer: base_layer.requires_grad_(False).",
        ),
        *(
            (True, f"Your {letter} has a bias, and LoRA's has none. Leave it out: nn.Linear(…, bias=False).")
            for letter in biased
        ),
        *((True, f"Something besides A and B trains: {name}. Only lora_A and lora_B should.") for name in more),
    )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _outside(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> Iterator[str]:
    """What is wrong with what the layer returns, before its values are looked at."""
    try:
        h = layer(x)
    except RuntimeError as error:
        if "shape" not in str(error) and "size" not in str(error):
            raise
        yield (
            f"The shapes do not fit in forward ({error}). x holds one input per row: x @ {A.on_the_right} is (rows × "
            f"r), and that @ {B.on_the_right} is (rows × d). A comes first, then B."
        )
    except AttributeError as error:
        if "'Linear' object has no attribute 'T'" not in str(error):
            raise
        yield "An nn.Linear is called, self.lora_A(x), or its matrix is taken: x @ self.lora_A.weight.T."
    shape = tuple(getattr(h, "shape", ()))
    yield from holding(
        (
            h is None or h is ...,
            "__init__ has its matrices; forward returns nothing yet. It returns h, one row for each row of x.",
        ),
        (not isinstance(h, Tensor), f"forward must return a tensor; yours returns a {type(h).__name__}."),
        (shape != (len(x), D), f"forward must return (rows × d) = {len(x)}×{D}; yours returns {_times(shape)}."),
    )
    lost = not torch.allclose(h, base(x), atol=1e-5) and torch.allclose(h + base.bias, base(x), atol=1e-5)
    yield from holding(
        (lost, "The base layer's bias is lost. Call self.base_layer(x), which adds it, instead of x @ W.T.")
    )


def _start(A: Tensor, B: Tensor) -> Iterator[str]:
    """What is wrong with the numbers that A and B start from."""
    yield from holding(
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


def _values(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> Iterator[str]:
    """What is wrong with h, now that neither A nor B is zero."""
    h, Wx, BAx, bias = layer(x), base(x), x @ A.of(layer).T @ B.of(layer).T, base.bias
    mistakes = [
        (Wx + BAx, "You forgot the scale: multiply the update B·A·x by lora_alpha / r."),
        (Wx + R * BAx, "You multiplied the update by r. The scale is α/r."),
        (Wx + 2 * BAx, "Your scale is always 2, which is α/r for α = 16 and r = 8 only: compute lora_alpha / r."),
        (Wx + ALPHA // R * BAx, "`//` rounds α/r down to a whole number: divide with `/`."),
        (Wx + R / ALPHA * BAx, "Your scale is r/α: upside down."),
        (Wx + ALPHA * BAx, "You multiplied by α and did not divide by r. The scale is α/r."),
        (Wx + ALPHA / math.sqrt(R) * BAx, "You divided α by √r: that is rsLoRA. Here the scale is α/r."),
        (ALPHA / R * BAx, "The update is right, and W·x is missing: add self.base_layer(x)."),
        (ALPHA / R * (Wx + BAx), "You scaled W·x as well. α/r belongs to the update alone."),
        (Wx - bias + ALPHA / R * BAx, "The base layer's bias is lost: call self.base_layer(x) instead of x @ W.T."),
        (Wx, "forward returns the base layer's output alone: the update B·A·x is missing."),
    ]
    right = Wx + ALPHA / R * BAx
    trains, answers = torch.allclose(h, right, atol=1e-5), torch.allclose(layer.eval()(x), right, atol=1e-5)
    layer.train()
    yield from holding(
        *((torch.allclose(h, wrong, atol=1e-5), sentence) for wrong, sentence in mistakes),
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


def _gradients(layer: Any, base: nn.Linear, x: Tensor, A: Theirs, B: Theirs) -> Iterator[str]:
    """Whether A and B can learn, and the layers before this one."""
    x = x.clone().requires_grad_()
    h = layer(x)
    if h.requires_grad:
        h.square().sum().backward()
    yield from holding(
        *(
            (
                one.held(layer).grad is None or not one.held(layer).grad.any(),
                f"{one.name} gets no gradient, so it trains nothing: no_grad, .detach() or .data cuts it off in "
                "forward.",
            )
            for one in (A, B)
        )
    )
    W, update = base.weight.detach(), ALPHA / R * B.of(layer).detach() @ A.of(layer).detach()
    passed = x.grad is not None and torch.allclose(x.grad, 2 * h.detach() @ (W + update), rtol=1e-3, atol=1e-3)
    yield from holding(
        (
            not passed,
            "W is frozen, but the gradient must still pass to the layers before: through W, B and A, without no_grad "
            "or .detach().",
        )
    )


def _other_settings(answer: Any, A: Theirs, B: Theirs) -> Iterator[str]:
    """Whether r, α and the layer's size are used as given."""
    base, x = nn.Linear(7, 6, bias=False), torch.randn(3, 7)
    layer = answer(base, 2, 3.0)
    fits = tuple(A.of(layer).shape) == (2, 7) and tuple(B.of(layer).shape) == (6, 2)
    yield from holding(
        (not fits, "Your shapes fit one layer only. Take d and k from base_layer.weight.shape, and r as given.")
    )
    with torch.no_grad():
        B.of(layer).copy_(torch.randn(6, 2))
    right = base(x) + 1.5 * (x @ A.of(layer).T @ B.of(layer).T)
    yield from holding(
        (
            not torch.allclose(layer(x), right, atol=1e-5),
            "Your scale fits one setting only. For r = 2 and α = 3 it is 1.5: compute lora_alpha / r.",
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


def _size(answer: Any, A: Theirs) -> Iterator[str]:
    """Whether A starts so that A·x is about as large as x, or not much smaller: its numbers at most about 1/√k."""
    layer = answer(nn.Linear(WIDE, WIDE, bias=False), 8, 16)
    size = float(A.of(layer).detach().square().mean().sqrt())
    times = size * math.sqrt(WIDE)
    yield from holding(
        (
            times < SMALLEST,
            f"The layer is right, and A starts too small: {1 / (times or 1):,.0f} times smaller than 1/√k. B's first "
            "gradients are as many times too small, so you begin beside the saddle on the map. Draw A between −1/√k "
            "and 1/√k.",
        ),
        (
            times > LARGEST,
            f"The layer is right, and A starts too large. With k = {WIDE} inputs its numbers are about {size:.2g} in "
            f"size, and should be 1/√k = {WIDE**-0.5:.2g} or a little less. A·x is then {times:.0f} times too large, "
            "so B's gradients are, and so is every change of the model: in lesson 03 the loss falls less, or it rises. "
            "Divide by math.sqrt(k), or use nn.init.kaiming_uniform_(A, a=math.sqrt(5)).",
        ),
    )


def _conventions(A: Theirs, B: Theirs) -> Iterator[str]:
    """What to say of a layer that works, where its names or shapes are not those of PEFT."""
    if own := [one.name for one in (A, B) if one.plain != f"lora_{one.letter}"]:
        yield (
            "Your layer works, and only its names are your own. Call the matrices lora_A and lora_B (not "
            f"{' and '.join(own)}): lesson 03 looks for these names, and so do the files of every adapter."
        )
    if turned := [f"your {one.letter} is {one.letters[::-1]}" for one in (A, B) if one.turned]:
        yield Remark(
            f"One thing to know: {' and '.join(turned)}. For row vectors that is the right way round, and some texts "
            "write it so. PyTorch and PEFT keep a weight as outputs × inputs, A as r×k and B as d×r."
        )
