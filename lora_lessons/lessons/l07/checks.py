"""Exercises of lesson 07: the way back through a packed W, and the QLoRA layer around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ... import memory
from ...by_hand import OURS, ByHand, dequantized_by, quantized_by
from ...course import layers, own_code
from ...course.exercises import Unsolved, by, exercise, tried, wrong_if
from ...course.layers import ALPHA, R

D, K, ROWS = 96, 128, 4  # W is D×K; few rows, so that a kept W is by far the largest of what can be kept
UNPACKED = 4 * D * K  # bytes of W in 32 bits


def _packed(W: Tensor) -> tuple[ByHand, Tensor]:
    """W in NF4 by the course's pieces, of which a check says nothing; and what it is then."""
    q = quantized_by(OURS, W)
    return q, dequantized_by(OURS, q).float()


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """Every tensor in a layer, and in the tuples, lists, dictionaries and objects that it holds, once."""
    todo, seen = [thing], set()
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, (dict, tuple, list)):
            todo += one.values() if isinstance(one, dict) else one
        else:
            todo += getattr(one, "__dict__", {}).values()


def _input(*rows: int) -> Tensor:
    return torch.randn(*(rows or (ROWS,)), K).requires_grad_()


def _keeps(run: Callable[[Tensor], Tensor], holds: Any) -> int:
    """Bytes of an unpacked W that live on after `run`, or 0.

    The tape also sees what is put on ctx, where PyTorch's saved-tensor hooks do not look.
    """
    x = _input()
    run(x)  # tables that are made once do not count
    kept = memory.kept_for_backward(lambda given: run(given[0]), [x, *tensors_in(holds)])
    return kept * (kept >= D * K)


@exercise(
    "07.1",
    "The way back through 4 bits",
    difficulty=2,
    minutes=15,
    keeps="PackedProduct",
    imports="from lora_lessons.by_hand import back\n",
)
def exercise_07_1(answer: Any) -> None:
    a_function = isinstance(answer, type) and issubclass(answer, torch.autograd.Function)
    wrong_if(
        (not a_function, "PackedProduct must be a class that inherits from torch.autograd.Function, as in the stub.")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        q, W = _packed(torch.randn(D, K))
        _forward(answer, q, W)
        _backward(answer, q, W)
        _as_given(answer)


def _forward(answer: Any, q: ByHand, W: Tensor) -> None:
    """What is wrong with h, and with what is kept."""
    x = _input()
    h = tried(
        lambda: answer.apply(x, q),
        (
            TypeError,
            "save_for_backward",
            "save_for_backward takes tensors alone. q is more than one: keep it as it is, ctx.q = q.",
        ),
        (
            TypeError,
            "positional argument",
            "apply hands forward one argument more than you give: ctx comes first, so forward(ctx, x, q).",
        ),
        (TypeError, "", "q holds packed codes, which cannot be multiplied: back(q) is W. ({})"),
        (
            RuntimeError,
            "shape|size",
            "The shapes do not fit in forward: x is tokens × k, W is d × k, so h = x @ W.T.",
        ),
    )
    if h is None:
        raise Unsolved
    alone = f"forward returns h alone, tokens × d: for this x and q that is {ROWS}×{D}."
    wrong_if((not isinstance(h, Tensor) or h.shape != (ROWS, D), alone))
    wrong_if((not torch.allclose(h, x @ W.T, atol=1e-4), "forward must return x @ W.T, where W is back(q)."))
    kept = _keeps(lambda x: answer.apply(x, q), q)
    wrong_if(
        (
            kept,
            f"h is right, but after forward {kept:,} bytes more are held than before, and W unpacked is {UNPACKED:,}: "
            "W is kept for backward, so nothing is saved. Keep q alone (ctx.q = q), which is there anyway, "
            "and unpack it again in backward.",
        )
    )


def _backward(answer: Any, q: ByHand, W: Tensor) -> None:
    """What is wrong with what backward returns."""
    g, h = torch.randn(ROWS, D), answer.apply(_input(), q)
    returned = tried(
        lambda: answer.backward(h.grad_fn, g.clone()),  # for PyTorch, too, ctx is h's grad_fn
        (
            NotImplementedError,
            "",
            "forward is right, and there is no backward: write it beside forward, also as a @staticmethod.",
        ),
        (
            RuntimeError,
            "shape",
            "The shapes do not fit in backward: g is tokens × d and W is d × k, so g @ W, without a transpose.",
        ),
        (
            TypeError,
            "positional argument",
            "forward is right. backward is called with two arguments, and ctx comes first: backward(ctx, g).",
        ),
        (AttributeError, "", "backward looks for what forward did not keep ({}): set ctx.q = q in forward."),
    )
    got, *others = returned if isinstance(returned, tuple) else (returned,)
    shape = tuple(getattr(got, "shape", ()))
    wrong_if(
        (returned is None, "forward is right. backward returns nothing yet: it returns ∂L/∂x, and None for q."),
        (
            isinstance(returned, list),
            "backward returns a tuple, not a list, or PyTorch stops: write return g @ …, None without brackets.",
        ),
        (got is None, "The first value is x's gradient, the second q's: yours have changed places, or x gets none."),
        (
            shape in ((D, K), (K, D)),
            "That is W's gradient. W is frozen and needs none; you are asked for x's, one row a token.",
        ),
        (
            shape != (ROWS, K),
            f"∂L/∂x has x's shape, {ROWS}×{K}; yours is {by(shape) or 'none'}. Multiply g by W: g @ W.",
        ),
        (
            shape == (ROWS, K) and not torch.allclose(got.float(), g @ W, atol=1e-4),
            "∂L/∂x has the right shape and wrong numbers. It is g @ W, and nothing else.",
        ),
        (
            any(one is not None for one in others),
            "You return a gradient for W, too. It is frozen: computing that gradient is work for nothing. "
            "Return None for q.",
        ),
        (
            len(others) != 1,
            "backward returns one value for each argument of forward: x's gradient, and None for q.",
        ),
    )


def _as_given(answer: Any) -> None:
    """Whether it works in 16 bits, and for a batch of sequences."""
    q, W = _packed(torch.randn(64, K))
    short, g = torch.randn(ROWS, K).bfloat16().requires_grad_(), torch.randn(2, 5, 64)
    several: Any = _input(2, 5)
    as_x = (
        "Right in 32 bits. But x, and with it g, may come in 16: unpack W to their dtype, back(q).to(x.dtype) in "
        "forward and .to(g.dtype) in backward."
    )
    h = tried(lambda: answer.apply(short, q), (RuntimeError, "dtype", as_x))
    back = tried(lambda: answer.backward(h.grad_fn, torch.ones_like(h))[0], (RuntimeError, "dtype", as_x))
    wrong_if(({h.dtype, back.dtype} != {torch.bfloat16}, as_x))
    h = answer.apply(several, q)
    if h.shape == g.shape:
        h.backward(g)
    right = several.grad is not None and torch.allclose(several.grad, g @ W, atol=1e-4)
    wrong_if(
        (
            not right or not torch.allclose(h, several @ W.T, atol=1e-4),
            "Right for a table of tokens, but a model feeds batch × tokens × k: x @ W.T and g @ W do both.",
        )
    )


class Made(NamedTuple):
    """A layer of the learner's, its A and B, and the W and bias (0 for none) that it stands for, after rounding."""

    layer: Any
    A: Any
    B: Any
    W: Tensor
    bias: Tensor

    def right(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """W·x with the bias, and B·A·x."""
        return x @ self.W.T + self.bias, x @ self.A.T @ self.B.T


def learned(layer: Any) -> list[Any]:
    """Their lora_A, r×k, and lora_B, d×r."""
    return [own_code.learned(layer, name) for name in ("lora_A", "lora_B")]


def _made(answer: Any, linear: nn.Linear, r: int = R, lora_alpha: float = ALPHA) -> Made:
    W = _packed(linear.weight.detach())[1]
    bias = torch.zeros(()) if linear.bias is None else linear.bias.detach().clone()
    layer = answer(linear, r, lora_alpha)
    A, B = learned(layer)
    return Made(layer, A, B, W, bias)


@exercise(
    "07.2",
    "Your QLoRA layer",
    difficulty=3,
    minutes=12,
    keeps="my_qlora",
    imports="""
from lora_lessons.course.own_code import own
from lora_lessons.lessons import l07
from lora_lessons.by_hand import nf4

PackedProduct = own("PackedProduct", "07.1", otherwise=l07.PackedProduct)
""",
)
def exercise_07_2(answer: Any) -> None:
    layers.a_class(answer, "MyQLoRA")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        linear = nn.Linear(K, D)
        made = _made(answer, linear)
        _parts(made, linear)
        _start(made)
        _values(made)
        _learns(made)
        _in_16_bits(answer)
        _other_settings(answer)
        layers.drawn(lambda: learned(answer(nn.Linear(K, D), R, ALPHA))[0])


def _parts(made: Made, linear: nn.Linear) -> None:
    """What is wrong with what the layer holds: A, B, and W in 4 bits alone."""
    layer, A, B, *_ = made
    if A is None and B is None:
        own = [name for name, p in layer.named_parameters() if p is not linear.weight and p is not linear.bias]
        wrong_if((own, f"Call the matrices lora_A and lora_B, as in lesson 02 (not {' and '.join(own)})."))
        raise Unsolved
    trains = {name: p for name, p in layer.named_parameters() if p.requires_grad and p is not A and p is not B}
    unpacked = [t.nbytes for t in tensors_in(layer) if t.numel() >= D * K and t.is_floating_point()]
    _matrix("lora_A", A, (R, K), "r×k")
    _matrix("lora_B", B, (D, R), "d×r")
    wrong_if(
        (
            any(p is linear.bias for p in trains.values()),
            "The bias still trains. Everything of the base is frozen: linear.requires_grad_(False).",
        ),
        (
            bool(unpacked),
            f"The layer still holds W unpacked, {sum(unpacked[:1]):,} bytes, so nothing is saved. Keep "
            "nf4(linear.weight), and neither linear nor its weight.",
        ),
        (bool(trains), f"{next(iter(trains), '')} trains, too. Only lora_A and lora_B should."),
        (
            not isinstance(getattr(layer, "q", None), ByHand),
            "Call the packed weight self.q, as in the stub: the next cells look for it there.",
        ),
    )


def _matrix(name: str, part: Any, shape: tuple[int, int], letters: str) -> None:
    """What can be wrong with A or B."""
    there = isinstance(part, nn.Parameter)
    dtype, have = (part.dtype, tuple(part.shape)) if there else (None, ())
    wrong_if(
        (part is None, f"There is no self.{name}: make it in __init__, as in lesson 02."),
        (
            not there,
            f"{name} is a {type(part).__name__}, and must be an nn.Parameter of shape {letters}, or an nn.Linear.",
        ),
        (
            dtype != torch.float32,
            f"{name} is in {str(dtype).removeprefix('torch.')}: keep it in 32 bits, or small steps are rounded away.",
        ),
        (have != shape, f"{name} is {by(have)}, and must be {letters}, here {by(shape)}."),
        (
            there and not part.requires_grad,
            f"{name} does not train: freeze what comes from the base before you make it.",
        ),
    )


def _start(made: Made) -> None:
    """What is wrong with the layer before it has learned anything."""
    x, A, B = _input(), made.A.detach(), made.B.detach()
    wrong_if(
        (not A.any(), "A is zero. It starts random and B zero: were both zero, neither would ever learn (lesson 02)."),
        (B.any(), "B does not start at zero, so the layer changes the model before it has learned anything."),
    )
    layers.size(A)
    h = tried(
        lambda: made.layer(x),
        (
            TypeError,
            "'PackedProduct' and",
            "A Function is not called by its own name, but by apply: PackedProduct.apply(x, self.q).",
        ),
        (
            TypeError,
            "NoneType",
            "PackedProduct returns nothing yet: solve exercise 07.1 first, and run its cell again.",
        ),
        (
            AttributeError,
            "'Linear' object",
            "An nn.Linear is called, self.lora_A(x), or its matrix is taken: x @ self.lora_A.weight.T.",
        ),
        (
            RuntimeError,
            "Boolean value of Tensor",
            "Whether there is a bias is asked by `if self.bias is not None`: "
            "a tensor of many numbers is neither true nor false.",
        ),
    )
    wrong_if((h is None, "__init__ is right. forward returns nothing yet: it returns h, one row for each row of x."))
    wrong_if((not isinstance(h, Tensor), f"forward must return a tensor; yours returns a {type(h).__name__}."))
    Wx, _ = made.right(x)
    wrong_if(
        (
            torch.allclose(h, Wx - made.bias, atol=1e-4),
            "The bias is lost: add self.bias where it is not None. (Qwen's layers have one.)",
        ),
        (not torch.allclose(h, Wx, atol=1e-4), "With B = 0 the layer must give W·x + bias, with W = back(nf4(W))."),
    )


def _values(made: Made) -> None:
    """What is wrong with h once B is not zero."""
    with torch.no_grad():
        made.B.normal_()
    x = _input()
    h, (Wx, BAx) = made.layer(x), made.right(x)
    layers.values(h, Wx, BAx, "PackedProduct.apply(x, self.q) and self.bias", made.bias)
    right = torch.allclose(h, Wx + ALPHA / R * BAx, atol=1e-3)
    wrong_if((not right, "At B = 0 it is right, and with another B it is not: add α/r times x @ A.T @ B.T."))


def _learns(made: Made) -> None:
    """Whether A, B and x get their gradients, and W is unpacked by PackedProduct, and not kept by PyTorch."""
    layer, A, B, W, _ = made
    x = _input()
    h = layer(x)
    g = torch.randn_like(h)
    if h.requires_grad:
        h.backward(g)
    layers.learn(lora_A=A, lora_B=B)
    right, kept = g @ W + ALPHA / R * (g @ B.detach() @ A.detach()), _keeps(layer, layer)
    wrong_if(
        (
            x.grad is None or not torch.allclose(x.grad, right, atol=1e-3),
            "A and B learn, but the gradient that goes on to the layers before is wrong: it comes back through W, by "
            "PackedProduct.apply, and through B·A, without detach().",
        ),
        (
            kept > 0,
            f"Its numbers are right, but after forward {kept:,} bytes more are held than before, and W unpacked is "
            f"{UNPACKED:,}: PyTorch keeps it for the way back. Multiply with PackedProduct.apply(x, …), "
            "which keeps the codes alone.",
        ),
    )


def _in_16_bits(answer: Any) -> None:
    """A base in 16 bits, as a 7B is loaded: A and B stay in 32, the output is x's."""
    layer = answer(nn.Linear(K, D).bfloat16(), R, ALPHA)
    A, B = learned(layer)
    wrong_if(
        (
            {A.dtype, B.dtype} != {torch.float32},
            "On a base in 16 bits your A and B are in 16 bits, too. They stay in 32: "
            "a small step would be rounded away.",
        )
    )
    with torch.no_grad():  # in bf16 1025 is 1024, and the update nothing
        A.copy_(torch.tensor([1025.0, -1024.0]).repeat(K // 2))
        B.copy_(torch.tensor([1025.0, -1024.0, 0.0]))
    h = tried(
        lambda: layer(torch.ones(ROWS, K, dtype=torch.bfloat16)),
        (
            RuntimeError,
            "dtype",
            "On a base in 16 bits x comes in 16, and A and B are in 32: take x.float() for the update.",
        ),
    )
    wrong_if(
        (
            h.dtype != torch.bfloat16,
            "x comes in 16 bits and your h goes out in 32, so the next layer would fail: return h.to(x.dtype).",
        ),
        (
            not torch.allclose(h.float(), torch.tensor(ALPHA / R * K / 2), rtol=0.1),
            "On a base in 16 bits your update is computed in 16 bits, too, where 1025 is rounded to 1024. Take "
            "x.float(), A and B as they are, and go to x's dtype at the very end.",
        ),
    )


def _other_settings(answer: Any) -> None:
    """Another r, α and size, no bias, and a batch of sequences."""
    made = _made(answer, nn.Linear(64, 32, bias=False), 2, 3.0)
    x = torch.randn(2, 5, 64)
    tried(
        lambda: layers.other_settings(made.layer, made.A, made.B, x, x @ made.W.T, "linear"),
        (TypeError, "", "A layer may have no bias, and then self.bias is None: add it only where it is not."),
        (
            (RuntimeError, IndexError),
            "",
            "That works for a table of inputs, but a model feeds batch × tokens × k: x @ A.T, not A @ x.T.",
        ),
    )
