"""What one training step really holds: every tensor's birth and death on a tape, read off afterwards."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..lora import stacked

KINDS = ("base", "quantization", "rest", "adapters", "gradients", "optimizer", "activations", "logits", "working")
MOMENTS = ("forward", "loss", "last block", "middle blocks", "first block", "optimizer step")


class Trace(NamedTuple):
    """A tape read off: N storages, and E events in their order."""

    sizes: np.ndarray  # (N) bytes; where they grow, at length 1, batch 1, rank 1, and one answer at the head
    powers: np.ndarray  # (N, 4) the powers of batch, sequence length, rank and the head's answers that each grows with
    kinds: np.ndarray  # (N) index into KINDS
    numbers: np.ndarray  # (E) the storage that an event is about
    signs: np.ndarray  # (E) +1 born, −1 died
    moments: np.ndarray  # (E) index into MOMENTS

    def peaks(self, batch: float = 1, seq: Any = 1, r: float = 1, answers: Any = 1) -> np.ndarray:
        """Bytes alive by moment and kind when most is alive in that moment: (moments, kinds, lengths in `seq`).

        `answers` (for each length): how many have their logits at once.
        """
        by = np.stack(np.broadcast_arrays(batch, np.atleast_1d(np.asarray(seq, float)), r, answers))  # (4, S)
        sizes = self.sizes[:, None] * np.prod(by[None] ** self.powers[:, :, None], axis=1)  # (N, S)
        change = self.signs[:, None] * sizes[self.numbers]
        alive = np.cumsum(change, axis=0)
        each = np.stack(
            [np.cumsum(change * (self.kinds[self.numbers] == k)[:, None], axis=0) for k in range(len(KINDS))]
        )
        most = np.zeros((len(MOMENTS), len(KINDS), by.shape[1]))
        for m in range(len(MOMENTS)):
            during = np.flatnonzero(self.moments == m)
            if len(during):
                at = during[np.argmax(alive[during], axis=0)]  # (S)
                most[m] = each[:, at, np.arange(by.shape[1])]
        return most

    def lumpy(self, seq: int) -> bool:
        """Whether something as large as a text of `seq` tokens, prime,
        grows with the batch but not evenly with the length."""
        batch, length, *_ = self.powers.T
        return bool(np.any((batch > 0) & (length == 0) & (self.sizes >= seq)))


class Tape(TorchDispatchMode):
    """While it is entered, each storage that an operation makes is written down, and again when it dies.

    An operation's own temporaries cannot be seen from outside, but for the 4-bit product's: its dequantised weight.
    `padded`: whether the texts have padding, which models ask of the numbers.
    """

    def __init__(self, padded: bool = False) -> None:
        super().__init__()
        self.padded = padded
        self.sizes: list[int] = []
        self.kinds: list[str | None] = []
        self.moment = "forward"
        self._events: list[tuple[int, int, str]] = []
        self._alive: dict[int, int] = {}  # a storage's address → its number

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_meta:
            return not self.padded  # "is nothing padded, nothing packed?": the only question that models ask of numbers
        if "grouped_mm" in str(func) and args[0].is_meta:  # a mixture's experts: on "meta" it takes bf16 alone
            in_bf16 = [a.bfloat16() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args]
            out = func(*in_bf16, **(kwargs or {})).to(args[0].dtype)
        else:
            out = func(*args, **(kwargs or {}))
        if "gemm_4bit" in str(func):
            A, _, (d, k) = args[:3]
            self._dies(self._born(d * k * A.element_size()))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.see(tensor)
        return out

    def see(self, tensor: Tensor, kind: str | None = None) -> None:
        """Write down the storage behind `tensor`, unless it stands there already; say what it is, if that is known."""
        storage = tensor.untyped_storage()
        number = self._alive.get(storage._cdata)
        if number is None:
            number = self._alive[storage._cdata] = self._born(storage.nbytes())
            weakref.finalize(storage, self._forget, storage._cdata)
        self.kinds[number] = kind or self.kinds[number]

    def _born(self, size: int) -> int:
        self.sizes.append(size)
        self.kinds.append("logits" if self.moment == "loss" else None)
        self._events.append((len(self.sizes) - 1, 1, self.moment))
        return len(self.sizes) - 1

    def _dies(self, number: int) -> None:
        self._events.append((number, -1, self.moment))

    def _forget(self, address: int) -> None:
        self._dies(self._alive.pop(address))

    def enter(self, moment: str) -> None:
        """From now on it is `moment`; what is alive at its beginning counts, whatever happens first."""
        self.moment = moment
        self._dies(self._born(0))

    def forward_ends(self) -> None:
        """What is alive now and nothing else yet was made for the way back: activations."""
        for number in self._alive.values():
            self.kinds[number] = self.kinds[number] or "activations"

    def read(self, primes: Sequence[int] = (0, 0, 0, 0)) -> Trace:
        """The trace; where batch, seq, r and the head's answers were prime, each size tells by what it grows."""
        factored = [factors(size, primes) for size in self.sizes]
        numbers, signs, moments = zip(*self._events, strict=True)
        return Trace(
            sizes=np.array([size for size, _ in factored], float),
            powers=np.array([powers for _, powers in factored], float),
            kinds=np.array([KINDS.index(kind or "working") for kind in self.kinds]),
            numbers=np.array(numbers),
            signs=np.array(signs),
            moments=np.array([MOMENTS.index(moment) for moment in moments]),
        )


def factors(size: int, primes: Sequence[int]) -> tuple[float, tuple[int, ...]]:
    """`size` without the primes of batch, seq, r and answers, and how often each was in it; 0 for what does not grow.

    Labels are padded by one before they are shifted, logits cut by one, and an attention sink stands beside the scores
    of all tokens: of a batch, seq ± 1 counts as seq.
    """
    powers: list[int] = []
    rest = size
    for n, p in enumerate(primes):
        power = 0
        while p > 1 and rest and rest % p == 0:
            power, rest = power + 1, rest // p
        if n == 1 and p > 1 and rest and powers[0]:
            near = next((q for q in (p + 1, p - 1) if rest % q == 0), 0)
            power, rest = (power + 1, rest // near) if near else (power, rest)
        powers.append(power)
    return float(rest), tuple(powers)


def state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The (kind, tensor) pairs that a model holds before any training: weights, quantization state, adapters."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    base = {
        id(parameter)
        for name, module in model.named_modules()
        if experts(module) or (isinstance(module, nn.Linear) and module is not head and "lora_" not in name)
        for parameter in ([module.weight] if isinstance(module, nn.Linear) else module.parameters(recurse=False))
    }
    for name, parameter in model.named_parameters():
        yield "adapters" if "lora_" in name else "base" if id(parameter) in base else "rest", parameter
        quantized = getattr(parameter, "quant_state", None)
        for q in (quantized, getattr(quantized, "state2", None)):
            parts = (getattr(q, part, None) for part in ("absmax", "code", "offset"))
            yield from (("quantization", part) for part in parts if isinstance(part, Tensor))
    yield from (("rest", buffer) for buffer in model.buffers())


def experts(module: nn.Module) -> bool:
    """Whether `module` holds the experts of a mixture, stacked in parameters of three dimensions.

    bitsandbytes packs no such parameter in NF4, and LoRA here adapts none.
    """
    return bool(stacked(module))


def blocks(model: Any) -> nn.ModuleList:
    """The model's list of decoder blocks. Raises ValueError where there is none."""
    every = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == every:
            return module
    raise ValueError("this model has no list of num_hidden_layers blocks: the tape reads decoder-only language models.")


class Moments:
    """Tells a tape at which moment a step is: when the head is reached, and on the way back through three blocks."""

    def __init__(self, tape: Tape, layers: nn.ModuleList) -> None:
        self.tape = tape
        # Of two blocks the first is the last but one as well: the moment entered later counts.
        self.enters = [(layers[-2], "middle blocks"), (layers[0], "first block")] if len(layers) > 1 else []

    def after(self, block: nn.Module, hidden: Tensor) -> None:
        """`block` has given `hidden`."""
        for one, moment in self.enters:
            if one is block:
                self._on_the_way_back(hidden, moment)

    def at_the_head(self, hidden: Tensor) -> None:
        self.tape.enter("loss")
        self._on_the_way_back(hidden, "last block")

    def _on_the_way_back(self, hidden: Tensor, moment: str) -> None:
        if hidden.requires_grad:
            hidden.register_hook(lambda _: self.tape.enter(moment))


def step(
    model: nn.Module,
    batch: Any,
    optimizer: torch.optim.Optimizer,
    path: Any = None,
    summed: bool = False,
) -> Tape:
    """Tape one training step, forward to optimizer step, of a model whose optimizer has its state already.

    `batch` holds input_ids, labels and, where texts are padded, attention_mask; or it is the rows of the fast path
    `path` (a `way.TapedPath`). Gradients are cleared before and after, as the course's loop does; where they are
    `summed` over several batches, those of an earlier one are there from the start.
    Raises ValueError when the model has no blocks or no output head.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if head is None:
        raise ValueError("this model has no output head: the tape reads language models that return a loss.")
    given = batch.tensors() if path else batch.values()
    tape = Tape(padded=not path and "attention_mask" in batch)
    moments = Moments(tape, blocks(model))
    optimizer.zero_grad(set_to_none=True)
    for kind, tensor in [*state(model), *(path.copies() if path else ())]:
        tape.see(tensor, kind)
    for tensors in optimizer.state.values():
        for tensor in tensors.values():
            if isinstance(tensor, Tensor) and tensor.ndim:
                tape.see(tensor, "optimizer")
    for tensor in given:
        tape.see(tensor, "activations")
    for parameter in model.parameters() if summed else ():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
            tape.see(parameter.grad, "gradients")

    def after(block: nn.Module, _args: Any, out: Any) -> None:
        moments.after(block, out[0] if isinstance(out, tuple) else out)

    hooks = []
    if path:
        path.moments = moments
    else:
        hooks += [head.register_forward_pre_hook(lambda _module, args: moments.at_the_head(args[0]))]
        hooks += [block.register_forward_hook(after) for block in {one for one, _ in moments.enters}]
    try:
        with tape:
            loss = path.loss_of(batch) if path else model(**batch).loss
            tape.forward_ends()
            loss.backward()
            for parameter in model.parameters():
                if parameter.grad is not None:
                    tape.see(parameter.grad, "gradients")
            del loss
            tape.enter("optimizer step")
            optimizer.step()
    finally:
        for hook in hooks:
            hook.remove()
        if path:
            path.moments = None
    optimizer.zero_grad(set_to_none=True)
    return tape


def out_and_kept(forward: Callable[[Any], Tensor], x: Any, held: nn.Module | None = None) -> tuple[Tensor, int]:
    """`forward(x)`, and the bytes that live on after it besides its output, x and what the module `held` holds anyway.

    x is a tensor, or a batch of them. The tape sees each storage be born and die, so it also sees what a
    `torch.autograd.Function` puts on its `ctx`; PyTorch's saved-tensor hooks see only what goes through
    `save_for_backward`.
    """
    tape = Tape()
    there = [leaf for leaf in tree_leaves(x) if isinstance(leaf, Tensor)]
    there += [] if held is None else [*held.parameters(), *held.buffers()]
    for tensor in there:
        tape.see(tensor, "rest")
    with tape:
        out = forward(x)
        tape.see(out, "working")
        tape.forward_ends()
    trace = tape.read()
    alive = [0] * len(trace.sizes)
    for number, sign in zip(trace.numbers.tolist(), trace.signs.tolist(), strict=True):
        alive[number] += sign
    kept = KINDS.index("activations")
    return out, int(sum(s for s, a, k in zip(trace.sizes, alive, trace.kinds, strict=True) if a > 0 and k == kept))


def kept_for_backward(forward: Callable[[Any], Tensor], x: Any, held: nn.Module | None = None) -> int:
    """Bytes that live on after `forward(x)`, as `out_and_kept` finds them."""
    return out_and_kept(forward, x, held)[1]
