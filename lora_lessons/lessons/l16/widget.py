"""How many adapters fit beside one base? Choose a model, its format, a card, and slide the rank.

Arithmetic from the model's shapes; `…_scene` works everything out, and controls stand over it; also on the web.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from ... import lora, lowrank, memory, models, planning
from ...course.on_the_web import live
from ...course.stage import Backdrop, Scene, Stage, choice, slider, whole
from ...drawing import BLUE, GREY, ORANGE, label

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


def fit_beside(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> Fit:
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
            f"{-free / memory.GB:.1f} GB are missing for {model} in {form} and {texts_gb:g} GB of texts on {card}: "
            "choose NF4, a larger card or less room for texts."
        )
    return Fit(room, base, one, free)


RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
HUNDRED = 100  # the lesson's number


def many_fit_scene(model: str, form: str, targets: str, card: str, texts_gb: float, r: int) -> Scene:
    """How many adapters fit at every rank: a line, a dot at the rank chosen, a hundred, and the merged models.

    Raises ValueError with what to change when not even the base fits, or a setting cannot be.
    """
    stops = sorted({*RANKS, whole("rank r", r)})
    fits = [fit_beside(model, form, targets, card, texts_gb, stop) for stop in stops]
    counts = [one.adapters for one in fits]
    drawn = [max(count, 0.5) for count in counts]  # a logarithmic axis has no zero
    figure = Figure(figsize=(8.4, 3.6))
    ax: Any = figure.subplots()
    ax.plot(stops, drawn, color=BLUE, lw=2)
    merged = fits[0].merged
    ax.axhline(merged, color=ORANGE, lw=2, ls="--")
    label(ax, stops[0], merged, f"merged models: {merged:,}", "black", xytext=(4, 9))
    ax.axhline(HUNDRED, color=GREY, lw=1.2, ls=":")
    label(ax, 2.6 * stops[-1], HUNDRED, "a hundred", GREY, xytext=(0, 8), ha="right")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="rank r (log)",
        ylabel="how many fit (log)",
        ylim=(0.4, 4 * max(*drawn, HUNDRED)),
    )
    ax.set_xlim(stops[0] / 1.3, 4 * stops[-1])
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_xticks(stops, [f"{stop}" for stop in stops])
    ax.minorticks_off()
    ax.set_title(f"Adapters beside one base on {card}")
    words = [_words(model, form, targets, card, texts_gb, stop, one) for stop, one in zip(stops, fits, strict=True)]
    scene = Scene(Backdrop(figure, (3.2,)), stops, words)
    scene.dot(ax, stops, drawn, BLUE, size=13)
    right, above = [1.2 * stop for stop in stops], [1.6 * count for count in drawn]
    scene.text(ax, right, above, [f"{count:,} adapters" for count in counts], BLUE)
    return scene


def _words(model: str, form: str, targets: str, card: str, texts_gb: float, r: int, one: Fit) -> str:
    free, texts = one.free / memory.GB, f"with {texts_gb:g} GB kept for texts in progress, " if texts_gb else ""
    return (
        f"{model} in {form} takes {one.base / memory.GB:.1f} GB of the {one.card / memory.GB:.1f} GB of {card}; {texts}"
        f"after CUDA's own share {free:.1f} GB are free. An adapter of rank {r} on {targets} takes "
        f"{_size(one.adapter)}, so {one.adapters:,} fit beside the base. Of merged models, each as large as the base, "
        f"the same memory holds {one.merged:,}."
    )


def _size(number: float) -> str:
    """Bytes as MB, or GB where there are many."""
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / memory.GB:.1f} GB"


MANY = {
    "model": "Llama-2-7B",
    "form": "16 bits",
    "targets": "all linear layers",
    "card": "RTX 4090",
    "texts_gb": 4,
    "r": 8,
}


def many_fit() -> Stage:
    """Choose model, format, targets and card, keep room for texts, and slide the rank."""
    controls = [
        choice("model", "model", list(models.SHAPES)),
        choice("form", "format", list(FORMATS)),
        choice("targets", "targets", list(TARGETS)),
        choice("card", "card", list(planning.CARDS)),
        slider("texts_gb", "GB for texts", TEXTS_GB),
        slider("r", "rank r"),
    ]
    return Stage(many_fit_scene, "r", controls, **MANY)


live(
    "many_fit",
    "widget.many_fit()",
    many_fit,
    {
        "model": ["Llama-2-7B", "Qwen2.5-7B"],
        "targets": ["q and v", "all linear layers"],
        "card": ["T4", "RTX 4090", "A100 80"],
        "texts_gb": [0, 4],
    },
    apart=("model", "card"),
    controls=6,
)
