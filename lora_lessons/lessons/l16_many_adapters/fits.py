"""How many adapters fit on a card beside their base: arithmetic from the model's shapes."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from ... import lora, lowrank, memory, models
from ...course.stage import whole
from ...tools import planning

TARGETS: dict[str, str | list[str]] = {
    "q and v": ["q_proj", "v_proj"],
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "all linear layers": "all-linear",
}
FORMATS = {"16 bits": "lora", "NF4": "qlora"}
ADAPTER_BYTES = 2  # of a number of A or B, in 16 bits
TEXTS_GB = [0, 1, 2, 4, 8, 16, 32]


class Fit(NamedTuple):
    """Bytes on a card, and how many adapters and merged models they leave room for."""

    card: float
    base: float
    adapter: float
    free: float  # for adapters, beside the base, the texts in progress and what the card itself takes

    @property
    def adapters(self) -> int:
        return int(self.free // self.adapter)

    @property
    def merged(self) -> int:
        """Merged models in place of base and adapters: each is as large as the base."""
        return int((self.free + self.base) // self.base)


@cache
def _linears(model: str, targets: str) -> tuple[tuple[int, int], ...]:
    """(d, k) of every layer that an adapter on `targets` adapts."""
    net = models.shape(model)
    weights = (net.get_parameter(f"{name}.weight") for name in lora.resolve_targets(net, TARGETS[targets]))
    return tuple((weight.shape[0], weight.shape[1]) for weight in weights)


@cache
def base_bytes(model: str, form: str) -> float:
    """A shape's weights in one of FORMATS; NF4 leaves embeddings, head and norms in 16 bits."""
    parameters = sum(p.numel() for p in models.shape(model).parameters())
    linears = sum(d * k for d, k in _linears(model, "all linear layers"))
    return memory.state(parameters, FORMATS[form], trainable=1, unquantized=parameters - linears).weights


def adapter_bytes(model: str, targets: str, r: int) -> int:
    """What one adapter of rank r takes: 2 bytes for each number of its A's and B's.

    Raises ValueError for a rank that a layer cannot have.
    """
    for d, k in _linears(model, targets):
        lora.check_settings(r, 1, d, k)
    return ADAPTER_BYTES * sum(lowrank.stored_numbers(d, k, r) for d, k in _linears(model, targets))


def fit(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> Fit:
    """What a card holds, with `texts_gb` kept free for the keys and values of texts in progress.

    Raises ValueError with what to change where not even the base fits, or a setting cannot be.
    """
    if isinstance(texts_gb, bool) or not isinstance(texts_gb, (int, float)) or not texts_gb >= 0:
        raise ValueError(f"the room for texts is a number of GB such as 4; got {texts_gb!r}.")
    for name, value, known in (
        ("model", model, models.SHAPES),
        ("format", form, FORMATS),
        ("targets", targets, TARGETS),
    ):
        if value not in known:
            raise ValueError(f"{name} {value!r} is not known: choose from {', '.join(known)}.")
    one, base, room = (
        adapter_bytes(model, targets, whole("rank r", r)),
        base_bytes(model, form),
        planning.card_bytes(card),
    )
    free = (room - memory.CONTEXT_BYTES) / (1 + memory.SLACK) - base - texts_gb * memory.GB
    if free < 0:
        raise ValueError(
            f"{-free / memory.GB:.1f} GB are missing for {model} in {form} and {texts_gb:g} GB of texts on {card}: choose "
            "NF4, a larger card or less room for texts."
        )
    return Fit(room, base, one, free)
