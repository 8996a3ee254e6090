"""Exercise 02.1: the learner's LoRA layer, looked at from outside and inside; each likely mistake has its sentence."""

from __future__ import annotations

import math
import warnings
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


class TheirMatrix(NamedTuple):
    """One of the learner's two matrices: its letter, its name in the layer, and whether it lies turned round."""

    letter: str
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
    def linear(self) -> bool:
        """Whether it is an nn.Linear's weight."""
        return self.plain != self.name

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
        return _look(answer)


def _look(answer: Any) -> str | None:
    base = nn.Linear(K, D)
    before = {name: p.detach().clone() for name, p in base.named_parameters()}
    try:
        layer = answer(base, R, ALPHA)
    except AttributeError as error:
        if "before Module.__init__" in str(error):
            return "nn.Module must be set up first: begin __init__ with super().__init__()."
        raise
    x = torch.randn(6, K)
    matrices = _matrices(layer, base)
    if isinstance(matrices, str):
        return matrices
    A, B = matrices
    if advice := _inside(layer, base, A, B):
        return advice
    A, B = A._replace(turned=A.held(layer).shape != (R, K)), B._replace(turned=B.held(layer).shape != (D, R))
    h = _forward(layer, x, A, B)
    if isinstance(h, str):
        return h
    if not torch.allclose(h, base(x), atol=1e-5) and torch.allclose(h + base.bias, base(x), atol=1e-5):
        return "The base layer's bias is lost. Call self.base_layer(x), which adds it, instead of x @ W.T."
    if advice := _start(A.of(layer).detach(), B.of(layer).detach()):
        return advice
    one_sided = bool((A.of(layer) >= 0).all() or (A.of(layer) <= 0).all())
    with torch.no_grad():
        A.of(layer).copy_(torch.randn(R, K))
        B.of(layer).copy_(torch.randn(D, R))
    return (
        _values(layer, base, x, A, B)
        or _gradients(layer, base, x, A, B)
        or _other_settings(answer, A, B)
        or _untouched(base, before)
        or _sequences(layer)
        or _size(answer, A)
        or own_code.not_drawn(lambda: A.of(answer(nn.Linear(K, D), R, ALPHA)))
        or (Remark(_ONE_SIDED) if one_sided else None)
        or _conventions(A, B)
    )


_ONE_SIDED = (
    "One thing to know: all numbers of your A have one sign, so at first all r of the path's numbers say nearly the "
    "same. Spread them around 0: 2 * torch.rand(r, k) - 1, times 1/√k."
)


def _matrices(layer: Any, base: nn.Linear) -> tuple[TheirMatrix, TheirMatrix] | str:
    """A and B, by name or else by shape; or what to say where one is missing.
    Raises Unsolved where nothing is there yet."""
    held = [*layer.named_parameters(), *layer.named_buffers()]
    held += [(name, part) for name, part in vars(layer).items() if isinstance(part, Tensor)]
    own = {name: part for name, part in held if not any(part is one for one in base.parameters())}
    listed = [part for name, part in vars(layer).items() if isinstance(part, (list, tuple, dict)) and name[0] != "_"]
    if not own and not listed:
        raise Unsolved
    matrices = []
    for letter, shape, letters in (("A", (R, K), "r×k"), ("B", (D, R), "d×r")):
        name = f"lora_{letter}"
        alike = [other for other, part in own.items() if tuple(part.shape) in (shape, shape[::-1])]
        names = [one for one in (name, f"{name}.weight") if one in own] or alike
        if len(names) != 1:
            return f"There is no matrix called {name}: set self.{name} in __init__. Its shape is {letters}."
        matrices.append(TheirMatrix(letter, names[0]))
    return matrices[0], matrices[1]


def _inside(layer: Any, base: nn.Linear, A: TheirMatrix, B: TheirMatrix) -> str | None:
    """What is wrong with the layer's parts: their kinds and shapes, and who trains."""
    trains = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    more = [name for name in trains if name not in (A.name, B.name)]
    sizes = [sorted(one.held(layer).shape) for one in (A, B)]
    biased = [one for one in (A, B) if one.linear and f"{one.plain}.bias" in trains]
    return _first(
        *_kind(layer, A),
        *_kind(layer, B),
        (
            sizes == [sorted((D, R)), sorted((R, K))],
            "A and B have changed places. x meets A (r×k) first; B (d×r) leads from the narrow path to the output.",
        ),
        *_shape(layer, A, (R, K), "r×k"),
        *_shape(layer, B, (D, R), "d×r"),
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
            for one in biased
        ),
        *((True, f"Something besides A and B trains: {name}. Only lora_A and lora_B should.") for name in more),
    )


Row = tuple[object, str]  # whether something is wrong, and what to say then


def _first(*rows: Row) -> str | None:
    """What to say of the first thing that is wrong; None where nothing is."""
    return next(iter(holding(*rows)), None)


def _kind(layer: Any, one: TheirMatrix) -> list[Row]:
    part = one.held(layer)
    return [
        (
            not isinstance(part, nn.Parameter),
            f"{one.plain} is a plain tensor, so no optimizer would find it. Wrap it: nn.Parameter(…).",
        ),
        (
            not part.requires_grad,
            f"{one.plain} does not train: it was made with requires_grad=False, or frozen together with the base.",
        ),
    ]


def _shape(layer: Any, one: TheirMatrix, shape: tuple[int, int], letters: str) -> list[Row]:
    have = tuple(one.held(layer).shape)
    return [
        (
            have == shape[::-1] and one.linear,
            "nn.Linear takes its inputs first and keeps outputs × inputs: A is nn.Linear(k, r), B is nn.Linear(r, d).",
        ),
        (
            have not in (shape, shape[::-1]),
            f"{one.name} has the shape {'×'.join(map(str, have))}; for r = {R} on a layer with {K} inputs and {D} "
            f"outputs it must be {letters}, {'×'.join(map(str, shape))}.",
        ),
    ]


def _start(A: Tensor, B: Tensor) -> str | None:
    """What is wrong with the numbers that A and B start from."""
    saddle = "A and B are both zero: that is the saddle on the map. Both gradients are zero, so nothing ever learns."
    turned = (
        "A is zero and B is random. That learns, too, but the paper and PEFT have it the other way: B = 0, A random."
    )
    return _first(
        (
            not torch.isfinite(A).all() or not torch.isfinite(B).all(),
            "lora_A or lora_B holds NaN or infinity: torch.empty only reserves memory. Fill both with numbers.",
        ),
        (not A.any(), turned if B.any() else saddle),
        (
            B.any(),
            "B does not start at zero, so B·A is not zero and the model is changed before it has learned anything.",
        ),
        (
            int(torch.linalg.matrix_rank(A.nan_to_num(0, 0, 0))) < R,
            "A's rows are all alike, so r directions do the work of one. Draw A at random.",
        ),
    )


def _forward(layer: Any, x: Tensor, A: TheirMatrix, B: TheirMatrix) -> Tensor | str:
    """The layer's output, or what is wrong with calling it at all."""
    try:
        h = layer(x)
    except RuntimeError as error:
        if "shape" not in str(error) and "size" not in str(error):
            raise
        return (
            f"The shapes do not fit in forward ({error}). x holds one input per row: x @ {A.on_the_right} is (rows × "
            f"r), and that @ {B.on_the_right} is (rows × d). A comes first, then B."
        )
    except AttributeError as error:
        if "'Linear' object has no attribute 'T'" not in str(error):
            raise
        return "An nn.Linear is called, self.lora_A(x), or its matrix is taken: x @ self.lora_A.weight.T."
    if h is None or h is ...:
        return "__init__ has its matrices; forward returns nothing yet. It returns h, one row for each row of x."
    if not isinstance(h, Tensor):
        return f"forward must return a tensor; yours returns a {type(h).__name__}."
    if h.shape != (len(x), D):
        return f"forward must return (rows × d) = {len(x)}×{D}; yours returns {'×'.join(map(str, h.shape))}."
    return h


def _values(layer: Any, base: nn.Linear, x: Tensor, A: TheirMatrix, B: TheirMatrix) -> str | None:
    """What is wrong with h, now that neither A nor B is zero."""
    h, Wx, BAx = _forward(layer, x, A, B), base(x), x @ A.of(layer).T @ B.of(layer).T
    if isinstance(h, str):
        return h
    bias = base.bias
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
    for wrong, sentence in mistakes:
        if torch.allclose(h, wrong, atol=1e-5):
            return sentence
    right = Wx + ALPHA / R * BAx
    answers = torch.allclose(layer.eval()(x), right, atol=1e-5)
    layer.train()
    if torch.allclose(h, right, atol=1e-5):
        return None if answers else "The values are right in training only; a model that answers is in evaluation mode."
    if answers:
        return (
            "The values are right in evaluation mode only. Leave dropout out here: lesson 03 compares them in training."
        )
    return "The shapes are right and the values are not. Take self.base_layer(x), add α/r times x @ A.T @ B.T."


def _gradients(layer: Any, base: nn.Linear, x: Tensor, A: TheirMatrix, B: TheirMatrix) -> str | None:
    """Whether A and B can learn, and the layers before this one."""
    x = x.clone().requires_grad_()
    h = layer(x)
    if h.requires_grad:
        h.square().sum().backward()
    for one in (A, B):
        got = one.held(layer).grad
        if got is None or not got.any():
            return (
                f"{one.name} gets no gradient, so it trains nothing: no_grad, .detach() "
                "or .data cuts it off in forward."
            )
    W, update = base.weight.detach(), ALPHA / R * B.of(layer).detach() @ A.of(layer).detach()
    if x.grad is None or not torch.allclose(x.grad, 2 * h.detach() @ (W + update), rtol=1e-3, atol=1e-3):
        return (
            "W is frozen, but the gradient must still pass to the layers before: through W, B and A, "
            "without no_grad or .detach()."
        )
    return None


def _other_settings(answer: Any, A: TheirMatrix, B: TheirMatrix) -> str | None:
    """Whether r, α and the layer's size are used as given."""
    base = nn.Linear(7, 6, bias=False)
    layer = answer(base, 2, 3.0)
    if tuple(A.of(layer).shape) != (2, 7) or tuple(B.of(layer).shape) != (6, 2):
        return "Your shapes fit one layer only. Take d and k from base_layer.weight.shape, and r as given."
    x = torch.randn(3, 7)
    with torch.no_grad():
        B.of(layer).copy_(torch.randn(6, 2))
    right = base(x) + 1.5 * (x @ A.of(layer).T @ B.of(layer).T)
    if not torch.allclose(layer(x), right, atol=1e-5):
        return "Your scale fits one setting only. For r = 2 and α = 3 it is 1.5: compute lora_alpha / r."
    return None


def _untouched(base: nn.Linear, before: dict[str, Tensor]) -> str | None:
    same = all(torch.equal(p, before[name]) for name, p in base.named_parameters())
    return None if same else "W was written to. LoRA leaves W as it is and adds the update to the output."


def _sequences(layer: Any) -> str | None:
    """A language model feeds a batch of sequences: (batch × tokens × k)."""
    x = torch.randn(2, 6, K)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .T of more than two axes
        try:
            h = layer(x)
        except (RuntimeError, IndexError):
            h = None
    if h is None or h.shape != (2, 6, D) or not torch.allclose(h[1], layer(x[1]), atol=1e-5):
        return (
            "That works for a table of inputs, but a model feeds (batch × tokens × k). Multiply as x @ A.T, "
            "not A @ x.T."
        )
    return None


def _size(answer: Any, A: TheirMatrix) -> str | None:
    """Whether A starts so that A·x is about as large as x, or not much smaller: its numbers at most about 1/√k."""
    layer = answer(nn.Linear(WIDE, WIDE, bias=False), 8, 16)
    size = float(A.of(layer).detach().square().mean().sqrt())
    if (times := size * math.sqrt(WIDE)) < SMALLEST:
        return (
            f"The layer is right, and A starts too small: {1 / times:,.0f} times smaller than 1/√k. B's first "
            "gradients are as many times too small, so you begin beside the saddle on the map. "
            "Draw A between −1/√k and 1/√k."
        )
    if times <= LARGEST:
        return None
    return (
        f"The layer is right, and A starts too large. With k = {WIDE} inputs its numbers are about {size:.2g} in size, "
        f"and should be 1/√k = {WIDE**-0.5:.2g} or a little less. A·x is then {times:.0f} times too large, so B's "
        "gradients are, and so is every change of the model: in lesson 03 the loss falls less, or it rises. Divide by "
        "math.sqrt(k), or use nn.init.kaiming_uniform_(A, a=math.sqrt(5))."
    )


def _conventions(A: TheirMatrix, B: TheirMatrix) -> str | None:
    """What to say of a layer that works, where its names or shapes are not those of PEFT."""
    if own := [one.name for one in (A, B) if one.name not in (f"lora_{one.letter}", f"lora_{one.letter}.weight")]:
        return (
            "Your layer works, and only its names are your own. Call the matrices lora_A and lora_B (not "
            f"{' and '.join(own)}): lesson 03 looks for these names, and so do the files of every adapter."
        )
    turned = [f"your {one.letter} is {letters}" for one, letters in ((A, "k×r"), (B, "r×d")) if one.turned]
    if not turned:
        return None
    return Remark(
        f"One thing to know: {' and '.join(turned)}. For row vectors that is the right way round, and some texts write "
        "it so. PyTorch and PEFT keep a weight as outputs × inputs, A as r×k and B as d×r."
    )
