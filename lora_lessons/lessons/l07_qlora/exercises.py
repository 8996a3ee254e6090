"""Exercises of lesson 07: the way back through a packed W, and the QLoRA layer around it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...course import own_code
from ...course.exercises import Unsolved, exercise
from ...errors import first_line
from ..l06.by_hand import OURS, ByHand, dequantized_by, quantized_by
from . import by_hand


def nf4(W: Tensor) -> ByHand:
    """W in NF4 by the course's pieces: a check says nothing of whose are used."""
    return quantized_by(OURS, W)


def back(q: ByHand) -> Tensor:
    return dequantized_by(OURS, q)


D, K, ROWS = 96, 128, 4  # W is D×K; few rows, so that a kept W is by far the largest of what can be kept
UNPACKED = 4 * D * K  # bytes of W in 32 bits
R, ALPHA = 3, 13.0  # 1, 2, r, α, α // r and r/α all differ from α/r
LARGEST, SMALLEST = 4, 0.01  # how many times 1/√k A's numbers may be, in the root of their mean square


@exercise(
    "07.4",
    "The way back through 4 bits",
    difficulty=2,
    minutes=10,
    keeps="PackedProduct",
    imports="from lora_lessons.lessons.l06.by_hand import back\n",
)
def exercise_07_4(answer: Any) -> str | None:
    if not isinstance(answer, type) or not issubclass(answer, torch.autograd.Function):
        return "PackedProduct must be a class that inherits from torch.autograd.Function, as in the stub."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        q = nf4(torch.randn(D, K))
        return _forward(answer, q) or _kept(answer, q) or _backward(answer, q) or _as_given(answer, q)


def _input(*rows: int) -> Tensor:
    return torch.randn(*(rows or (ROWS,)), K).requires_grad_()


def _forward(answer: Any, q: ByHand) -> str | None:
    """What is wrong with h."""
    x, W = _input(), back(q).float()
    try:
        h = answer.apply(x, q)
    except TypeError as error:
        if "save_for_backward" in str(error):
            return "save_for_backward takes tensors alone. q is more than one: keep it as it is, ctx.q = q."
        return f"q holds packed codes, which cannot be multiplied: back(q) is W. ({first_line(error)})"
    except RuntimeError as error:
        if "shape" not in str(error) and "size" not in str(error):
            raise
        return "The shapes do not fit in forward: x is tokens × k, W is d × k, so h = x @ W.T."
    if h is None:
        raise Unsolved
    if not isinstance(h, Tensor) or h.shape != (ROWS, D):
        return f"forward returns h alone, tokens × d: for this x and q that is {ROWS}×{D}."
    return None if torch.allclose(h, x @ W.T, atol=1e-4) else "forward must return x @ W.T, where W is back(q)."


def _kept(answer: Any, q: ByHand) -> str | None:
    """Whether W lives on after forward: the tape also sees what is put on ctx, where saved-tensor hooks do not look."""
    kept = by_hand.kept(lambda x: answer.apply(x, q), _input(), q)
    if kept < D * K:
        return None
    return (
        f"h is right, but after forward {kept:,} bytes more are held than before, and W unpacked is {UNPACKED:,}: W is "
        "kept for backward, so nothing is saved. Keep q alone (ctx.q = q), which is there anyway, "
        "and unpack it again in backward."
    )


def _backward(answer: Any, q: ByHand) -> str | None:
    """What is wrong with what backward returns."""
    W, g, h = back(q).float(), torch.randn(ROWS, D), answer.apply(_input(), q)
    try:
        returned = answer.backward(h.grad_fn, g.clone())  # for PyTorch, too, ctx is h's grad_fn
    except NotImplementedError:
        return "forward is right, and there is no backward: write it beside forward, also as a @staticmethod."
    except RuntimeError as error:
        if "shape" not in str(error):
            raise
        return "The shapes do not fit in backward: g is tokens × d and W is d × k, so g @ W, without a transpose."
    except AttributeError as error:
        return f"backward looks for what forward did not keep ({first_line(error)}): set ctx.q = q in forward."
    if returned is None:
        return "forward is right. backward returns nothing yet: it returns ∂L/∂x, and None for q."
    if isinstance(returned, list):
        return "backward returns a tuple, not a list, or PyTorch stops: write return g @ …, None without brackets."
    pair = returned if isinstance(returned, tuple) else (returned,)
    if pair[0] is None:
        return "The first value is x's gradient, the second q's: yours have changed places, or x gets none."
    got = pair[0]
    if got.shape in ((D, K), (K, D)):
        return "That is W's gradient. W is frozen and needs none; you are asked for x's, one row a token."
    if got.shape != (ROWS, K):
        return f"∂L/∂x has x's shape, {ROWS}×{K}; yours is {'×'.join(map(str, got.shape))}. Multiply g by W: g @ W."
    if not torch.allclose(got.float(), g @ W, atol=1e-4):
        return "∂L/∂x has the right shape and wrong numbers. It is g @ W, and nothing else."
    if any(one is not None for one in pair[1:]):
        return (
            "You return a gradient for W, too. It is frozen: computing that gradient is work for nothing. "
            "Return None for q."
        )
    if len(pair) != 2:
        return "backward returns one value for each argument of forward: x's gradient, and None for q."
    return None


def _as_given(answer: Any, q: ByHand) -> str | None:
    """Whether it works in 16 bits, and for a batch of sequences."""
    x = torch.randn(ROWS, K, dtype=torch.bfloat16).requires_grad_()
    try:
        h = answer.apply(x, q)
        grads = answer.backward(h.grad_fn, torch.ones_like(h))
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        h = None
    if h is None or h.dtype != torch.bfloat16 or grads[0].dtype != torch.bfloat16:
        return (
            "Right in 32 bits. But x, and with it g, may come in 16: unpack W to their dtype, back(q).to(x.dtype) in "
            "forward and .to(g.dtype) in backward."
        )
    g, q = torch.randn(2, 5, 64), nf4(torch.randn(64, K))
    several: Any = _input(2, 5)
    h, W = answer.apply(several, q), back(q).float()
    if h.shape == g.shape:
        h.backward(g)
        if torch.allclose(h, several @ W.T, atol=1e-4) and torch.allclose(several.grad, g @ W, atol=1e-4):
            return None
    return "Right for a table of tokens, but a model feeds batch × tokens × k: x @ W.T and g @ W do both."


# ---- the layer ----


class Seen(NamedTuple):
    """A layer of the learner's, and the W and the bias (0 where there is none) that it stands for, after rounding."""

    layer: Any
    W: Tensor
    bias: Tensor

    @classmethod
    def made(cls, answer: Any, linear: nn.Linear, r: int = R, lora_alpha: float = ALPHA) -> Seen:
        W, bias = back(nf4(linear.weight.detach())).float(), linear.bias
        return cls(answer(linear, r, lora_alpha), W, torch.zeros(()) if bias is None else bias.detach().clone())

    def right(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """W·x with the bias, and B·A·x."""
        return x @ self.W.T + self.bias, x @ self.A.T @ self.B.T

    @property
    def A(self) -> Any:
        """Their lora_A, r×k."""
        return own_code.learned(self.layer, "lora_A")

    @property
    def B(self) -> Any:
        """Their lora_B, d×r."""
        return own_code.learned(self.layer, "lora_B")


@exercise(
    "07.5",
    "Your QLoRA layer",
    difficulty=3,
    minutes=12,
    keeps="my_qlora",
    imports="""
from lora_lessons.course.own_code import own
from lora_lessons.lessons.l06.by_hand import nf4
from lora_lessons.lessons.l07_qlora import by_hand

PackedProduct = own("PackedProduct", "07.4", otherwise=by_hand.PackedProduct)
""",
)
def exercise_07_5(answer: Any) -> str | None:
    if isinstance(answer, nn.Module):
        return "Give the class itself to the check: check(…, MyQLoRA), without brackets behind it."
    if not isinstance(answer, type) or not issubclass(answer, nn.Module):
        return "MyQLoRA must be a class that inherits from nn.Module, as in the stub."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        linear = nn.Linear(K, D)
        seen = Seen.made(answer, linear)
        return (
            _parts(seen.layer, linear)
            or _start(seen)
            or _values(seen)
            or _learns(seen)
            or _keeps_nothing(seen.layer)
            or _in_16_bits(answer)
            or _other_settings(answer)
            or own_code.not_drawn(lambda: own_code.learned(answer(nn.Linear(K, D), R, ALPHA), "lora_A"))
        )


def _parts(layer: Any, linear: nn.Linear) -> str | None:
    """What is wrong with what the layer holds: A, B, and W in 4 bits alone."""
    A, B = (own_code.learned(layer, name) for name in ("lora_A", "lora_B"))
    if A is None and B is None:
        if own := [name for name, p in layer.named_parameters() if p is not linear.weight and p is not linear.bias]:
            return f"Call the matrices lora_A and lora_B, as in lesson 02 (not {' and '.join(own)})."
        raise Unsolved
    for name, part, shape, letters in (("lora_A", A, (R, K), "r×k"), ("lora_B", B, (D, R), "d×r")):
        if part is None:
            return f"There is no self.{name}: make it in __init__, as in lesson 02."
        if not isinstance(part, nn.Parameter):
            return (
                f"{name} is a {type(part).__name__}, and must be an nn.Parameter of shape {letters}, or an nn.Linear."
            )
        if part.dtype != torch.float32:
            return (
                f"{name} is in {str(part.dtype).removeprefix('torch.')}: keep it in 32 bits, "
                "or small steps are rounded away."
            )
        if tuple(part.shape) != shape:
            return (
                f"{name} is {'×'.join(map(str, part.shape))}, and must be {letters}, here {'×'.join(map(str, shape))}."
            )
        if not part.requires_grad:
            return f"{name} does not train: freeze what comes from the base before you make it."
    trains = {name: p for name, p in layer.named_parameters() if p.requires_grad and p is not A and p is not B}
    if any(p is linear.bias for p in trains.values()):
        return "The bias still trains. Everything of the base is frozen: linear.requires_grad_(False)."
    held = [t for t in by_hand.tensors_in(layer) if t.numel() >= D * K and t.is_floating_point()]
    if held:
        return (
            f"The layer still holds W unpacked, {held[0].nbytes:,} bytes, so nothing is saved. Keep "
            "nf4(linear.weight), and neither linear nor its weight."
        )
    return f"{next(iter(trains))} trains, too. Only lora_A and lora_B should." if trains else None


def _start(seen: Seen) -> str | None:
    """What is wrong with the layer before it has learned anything."""
    A, B = seen.A.detach(), seen.B.detach()
    if not A.any():
        return "A is zero. It starts random and B zero: were both zero, neither would ever learn (lesson 02)."
    if B.any():
        return "B does not start at zero, so the layer changes the model before it has learned anything."
    if (times := float(A.square().mean().sqrt()) * math.sqrt(K)) > LARGEST:
        return (
            f"A starts {times:.0f} times larger than 1/√k, so every step would be as many times too large: "
            "divide by math.sqrt(k)."
        )
    if times < SMALLEST:
        return f"A starts {1 / times:,.0f} times smaller than 1/√k, so B's first gradients are as many times too small."
    x = _input()
    try:
        h = seen.layer(x)
    except TypeError as error:
        if "'PackedProduct' and" in str(error):
            return "A Function is not called by its own name, but by apply: PackedProduct.apply(x, self.q)."
        if "NoneType" not in str(error):
            raise
        return "PackedProduct returns nothing yet: solve exercise 07.4 first, and run its cell again."
    except AttributeError as error:
        if "'Linear' object" not in str(error):
            raise
        return "An nn.Linear is called, self.lora_A(x), or its matrix is taken: x @ self.lora_A.weight.T."
    except RuntimeError as error:
        if "Boolean value of Tensor" not in str(error):
            raise
        return (
            "Whether there is a bias is asked by `if self.bias is not None`: "
            "a tensor of many numbers is neither true nor false."
        )
    if h is None:
        return "__init__ is right. forward returns nothing yet: it returns h, one row for each row of x."
    Wx, _ = seen.right(x)
    if torch.allclose(h, Wx - seen.bias, atol=1e-4):
        return "The bias is lost: add self.bias where it is not None. (Qwen's layers have one.)"
    return (
        None
        if torch.allclose(h, Wx, atol=1e-4)
        else "With B = 0 the layer must give W·x + bias, with W = back(nf4(W))."
    )


def _values(seen: Seen) -> str | None:
    """What is wrong with h once B is not zero."""
    with torch.no_grad():
        seen.B.normal_()
    x = _input()
    h, (Wx, BAx) = seen.layer(x), seen.right(x)
    mistakes = [
        (Wx, "forward returns the base's part alone: the update B·A·x is missing."),
        (Wx + BAx, "You forgot the scale: multiply the update by lora_alpha / r."),
        (Wx + ALPHA * BAx, "You multiplied by α and did not divide by r. The scale is α/r."),
        (Wx + R / ALPHA * BAx, "Your scale is r/α: upside down."),
        (Wx + ALPHA // R * BAx, "`//` rounds α/r down to a whole number: divide with `/`."),
        (Wx + 2 * BAx, "Your scale is always 2, which is α/r for α = 16 and r = 8 only: compute lora_alpha / r."),
        (ALPHA / R * (Wx + BAx), "You scaled W·x as well. α/r belongs to the update alone."),
        (ALPHA / R * BAx, "The update is right once it has learned, and then W·x is missing: add the two."),
    ]
    for wrong, sentence in mistakes:
        if torch.allclose(h, wrong, atol=1e-4):
            return sentence
    if torch.allclose(h, Wx + ALPHA / R * BAx, atol=1e-3):
        return None
    return "At B = 0 it is right, and with another B it is not: add α/r times x @ A.T @ B.T."


def _learns(seen: Seen) -> str | None:
    """Whether A, B and x get their gradients."""
    A, B, x = seen.A, seen.B, _input()
    h = seen.layer(x)
    g = torch.randn_like(h)
    if h.requires_grad:
        h.backward(g)
    for name, p in (("lora_A", A), ("lora_B", B)):
        if p.grad is None or not p.grad.any():
            return f"{name} gets no gradient, so it trains nothing: no_grad, .detach() or .data cuts it off in forward."
    right = g @ seen.W + ALPHA / R * (g @ B.detach() @ A.detach())
    if x.grad is None or not torch.allclose(x.grad, right, atol=1e-3):
        return (
            "A and B learn, but the gradient that goes on to the layers before is wrong: it comes back through W, by "
            "PackedProduct.apply, and through B·A, without detach()."
        )
    return None


def _keeps_nothing(layer: Any) -> str | None:
    """Whether W is unpacked by PackedProduct, and not kept by PyTorch."""
    kept = by_hand.kept(layer, _input(), layer)
    if kept < D * K:
        return None
    return (
        f"Its numbers are right, but after forward {kept:,} bytes more are held than before, and W unpacked is "
        f"{UNPACKED:,}: PyTorch keeps it for the way back. Multiply with PackedProduct.apply(x, …), "
        "which keeps the codes alone."
    )


def _in_16_bits(answer: Any) -> str | None:
    """A base in 16 bits, as a 7B is loaded: A and B stay in 32, the output is x's."""
    layer = answer(nn.Linear(K, D).bfloat16(), R, ALPHA)
    A, B = (own_code.learned(layer, name) for name in ("lora_A", "lora_B"))
    if {A.dtype, B.dtype} != {torch.float32}:
        return (
            "On a base in 16 bits your A and B are in 16 bits, too. They stay in 32: "
            "a small step would be rounded away."
        )
    with torch.no_grad():  # in bf16 1025 is 1024, and the update nothing
        A.copy_(torch.tensor([1025.0, -1024.0]).repeat(K // 2))
        B.copy_(torch.tensor([1025.0, -1024.0, 0.0]))
    try:
        h = layer(torch.ones(ROWS, K, dtype=torch.bfloat16))
    except RuntimeError as error:
        if "dtype" not in str(error):
            raise
        return "On a base in 16 bits x comes in 16, and A and B are in 32: take x.float() for the update."
    if h.dtype != torch.bfloat16:
        return "x comes in 16 bits and your h goes out in 32, so the next layer would fail: return h.to(x.dtype)."
    if not torch.allclose(h.float(), torch.tensor(ALPHA / R * K / 2), rtol=0.1):
        return (
            "On a base in 16 bits your update is computed in 16 bits, too, where 1025 is rounded to 1024. Take "
            "x.float(), A and B as they are, and go to x's dtype at the very end."
        )
    return None


def _other_settings(answer: Any) -> str | None:
    """Another r, α and size, no bias, and a batch of sequences."""
    seen = Seen.made(answer, nn.Linear(64, 32, bias=False), 2, 3.0)
    if tuple(seen.A.shape) != (2, 64) or tuple(seen.B.shape) != (32, 2):
        return "Your shapes fit one layer only. Take d and k from linear.weight.shape, and r as given."
    x = torch.randn(2, 5, 64)
    with torch.no_grad():
        seen.B.normal_()
        try:
            h = seen.layer(x)
        except TypeError:
            return "A layer may have no bias, and then self.bias is None: add it only where it is not."
        except (RuntimeError, IndexError):
            return "That works for a table of inputs, but a model feeds batch × tokens × k: x @ A.T, not A @ x.T."
    Wx, BAx = seen.right(x)
    if not torch.allclose(h, Wx + 1.5 * BAx, atol=1e-4):
        return "Your scale fits one setting only. For r = 2 and α = 3 it is 1.5: compute lora_alpha / r."
    return None
