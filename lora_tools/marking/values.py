"""The line between a check and a student's function, each in a process of its own: plain values, as JSON.

Nothing that comes over the line is run. Numbers, text, collections and tensors are read back as new ones, anything else
as an empty object with the name of its type. Gradients go back the same way.
"""

from __future__ import annotations

import base64
import builtins
import io
import json
import socket
import struct
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from lora_lessons import paths
from lora_lessons.quant.nf4 import DoubleQuantized, Quantized
from lora_lessons.tasks import Encoded

LONGEST = 64_000_000  # bytes of a message
DTYPES = {str(one): one for one in vars(torch).values() if isinstance(one, torch.dtype)}
RECORDS: dict[str, Any] = {kind.__name__: kind for kind in (Encoded, Quantized, DoubleQuantized)}
COLLECTIONS: dict[str, Any] = {"tuple": tuple, "set": set, "list": list}


class Lost(BaseException):
    """The other end is gone, or says what cannot be read. No check may take it for an error of its own."""


class Wire:
    """One end of the line, and the callables that the other end may call by their numbers.

    What the other end `writes` into a tensor that it is given is written here, too, only where that is asked for: else
    it would change what an answer is compared with.
    """

    def __init__(self, end: socket.socket, *offers: Callable[..., Any], writes: bool = False) -> None:
        self.end, self.offers, self.writes = end, list(offers), writes
        self.kept: list[tuple[Sequence[Tensor], Tensor]] = []  # what was given, and what was made of it

    def call(self, number: int, *given: Any, **named: Any) -> Any:
        """What the other end's callable returns for these. Raises an error of the same name where it raised one."""
        grad = torch.is_grad_enabled()
        learns = [one for one in _tensors([given, named]) if grad and one.requires_grad]
        answer = self._ask({"call": number, "given": self.say(given), "named": self.say(named), "grad": grad})
        print(end=str(answer.get("printed", "")))
        with torch.no_grad():
            after = self.hear(answer.get("after")) if self.writes else []
            for mine, theirs in zip(_tensors([given, named]), after, strict=False):
                mine.copy_(theirs)
        return self.hear(answer.get("value"), learns)

    def gradients(self, number: int, of: Tensor) -> Any:
        """The gradients of what a call was given, from that of what it made."""
        return self.hear(self._ask({"back": number, "of": self.say(of)}).get("value"))

    def serve(self) -> Any:
        """Answer the other end until it answers what this end asked; return that."""
        while "call" in (asked := self.receive()) or "back" in asked:
            try:
                answer = self._called(asked) if "call" in asked else self._back(asked)
            except Exception as error:  # a student's code may fail in any way; sys.exit ends its process
                answer = raised(error)
            self.send(answer)
        return asked

    def send(self, message: Mapping[str, Any]) -> None:
        """Say one thing."""
        said = json.dumps(message).encode()
        try:
            self.end.sendall(struct.pack("!Q", len(said)) + said)
        except OSError as error:
            raise Lost from error

    def _ask(self, question: Mapping[str, Any]) -> Any:
        self.send(question)
        answer = self.serve()
        if "raised" in answer:
            _raise(str(answer["raised"]), str(answer.get("said")), bool(answer.get("theirs")))
        return answer

    def _called(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        given, named = self.hear(asked["given"]), self.hear(asked["named"])
        learns, printed = [one for one in _tensors([given, named]) if one.requires_grad], io.StringIO()
        with torch.set_grad_enabled(bool(asked["grad"])), redirect_stdout(printed):
            made = self.offers[asked["call"]](*given, **named)
        after = self.say([one.detach() for one in _tensors([given, named])])
        return {"value": self.say(made, learns), "printed": printed.getvalue()[:200], "after": after}

    def _back(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        given, made = self.kept[asked["back"]]
        of = self.hear(asked["of"])
        return {"value": self.say(torch.autograd.grad(made, given, of, retain_graph=True, allow_unused=True))}

    def receive(self) -> Any:
        """Hear one thing. Raises Lost where there is nothing, or nothing that can be read."""
        try:
            (size,) = struct.unpack("!Q", self._read(8))
            answer = json.loads(self._read(size)) if size < LONGEST else None
        except (OSError, ValueError, RecursionError) as error:
            raise Lost from error
        if not isinstance(answer, dict):
            raise Lost
        return answer

    def _read(self, size: int) -> bytes:
        said = bytearray()
        while len(said) < size:
            if not (part := self.end.recv(min(1 << 20, size - len(said)))):
                raise Lost
            said += part
        return bytes(said)

    def say(self, value: Any, learns: Sequence[Tensor] = ()) -> Any:
        """A value as JSON has it; a tensor that was made of what `learns` is kept for its gradient."""

        def also(parts: Collection[Any]) -> list[Any]:
            return [self.say(part, learns) for part in parts]

        kind = type(value).__name__
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, Real):
            return int(value) if isinstance(value, Integral) else float(value)
        if isinstance(value, Tensor):
            number = len(self.kept) if learns and value.requires_grad else -1
            if number >= 0:
                self.kept.append((learns, value))
            flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            data = base64.b64encode(flat.numpy().tobytes()).decode()
            return {"tensor": data, "of": [str(value.dtype), *value.shape], "grad": value.requires_grad, "kept": number}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value)}
        if kind in RECORDS and isinstance(value, RECORDS[kind]):
            return {kind: also(value)}
        if isinstance(value, Mapping):
            return {"dict": [also(pair) for pair in value.items()]}
        if isinstance(value, Collection) and not isinstance(value, (bytes, bytearray)):
            return {kind if kind in COLLECTIONS else "list": also(list(value))}
        if callable(value) and not isinstance(value, type):
            self.offers.append(value)
            return {"callable": len(self.offers) - 1}
        return {"other": kind}

    def hear(self, said: Any, learns: Sequence[Tensor] = ()) -> Any:
        """The value that the other end said."""
        if not isinstance(said, dict):
            return said
        kind, parts = next(iter(said.items()))
        if kind == "tensor":
            return self._tensor(said, learns)
        if kind == "dtype":
            return DTYPES[parts]
        if kind == "callable":
            return lambda *given, **named: self.call(parts, *given, **named)
        if kind == "other":
            return type(str(parts), (), {"__repr__": lambda _: f"<{parts}>"})()
        heard = [self.hear(part, learns) for part in (parts if kind != "dict" else sum(parts, []))]
        if kind == "dict":
            return dict(zip(heard[::2], heard[1::2], strict=True))
        return RECORDS[kind](*heard) if kind in RECORDS else COLLECTIONS[kind](heard)

    def _tensor(self, said: Mapping[str, Any], learns: Sequence[Tensor]) -> Tensor:
        name, *shape = said["of"]
        data, dtype = bytearray(base64.b64decode(said["tensor"])), DTYPES[name]
        value = (torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)).reshape(shape)
        if learns and said["kept"] >= 0:
            made: Tensor = _Far.apply(self, said["kept"], value, *learns)
            return made
        return value.requires_grad_(said["grad"])


class _Far(torch.autograd.Function):
    """A tensor that the other end made: its gradient is worked out there."""

    @staticmethod
    def forward(ctx: Any, line: Wire, number: int, value: Tensor, *learns: Tensor) -> Tensor:
        ctx.line, ctx.number = line, number
        return value.clone()

    @staticmethod
    def backward(ctx: Any, of: Tensor) -> Any:
        return None, None, None, *ctx.line.gradients(ctx.number, of)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ():
        yield from _tensors(part)


def raised(error: BaseException) -> dict[str, Any]:
    """An error as the other end hears of it: its name, its words, and whether a line of theirs was on the way."""
    theirs = not all(paths.is_ours(frame.filename) for frame in traceback.extract_tb(error.__traceback__))
    return {"raised": type(error).__name__, "said": str(error)[:1000], "theirs": theirs}


def _raise(kind: str, said: str, theirs: bool) -> None:
    """Raise an error of this name and these words: with a line on the way that is none of ours, if it was `theirs`."""
    known = getattr(builtins, kind, Exception)
    base = known if isinstance(known, type) and issubclass(known, Exception) else Exception
    made: Any = type(kind, (base,), {"__str__": lambda _: said})
    error = made.__new__(made)
    if theirs:
        exec(compile("raise error", "the student's", "exec"), {"error": error})
    raise error
