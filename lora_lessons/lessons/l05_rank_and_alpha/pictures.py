"""Pictures of lesson 05: the sweep beside the paper's table; lines and intervals; and what they show, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...course.figures import sweep_lines as sweep_lines
from ...drawing import BLUE, GREY, VERMILION, label
from ...experiments.sweep import Summary


def three_knobs(d: int = 576, narrow: int = 8, wide: int = 64) -> tuple[Figure, str]:
    """What each knob does: the rank widens B and A (d×d, to scale), α/r multiplies their product,
    the rate lengthens a step."""
    figure = Figure(figsize=(7.2, 2.7))
    left, middle, right = figure.subplots(1, 3)
    gap = 0.05 * d
    left.add_patch(Rectangle((0, 0), d, d, facecolor="#eceef0", edgecolor=GREY))
    for r, fill in ((wide, "white"), (narrow, BLUE)):
        for corner, width, height in (((-gap - r, 0), r, d), ((0, d + gap), d, r)):
            left.add_patch(
                Rectangle(corner, width, height, facecolor=fill, edgecolor=BLUE, ls="-" if r == narrow else "--")
            )
    left.text(d / 2, d / 2, "W is frozen", ha="center", va="center")
    left.set(xlim=(-gap - 1.3 * wide, 1.05 * d), ylim=(-0.02 * d, d + gap + 1.3 * wide))
    for row, (name, scale) in enumerate({"α = r/2": 0.5, "α = r": 1.0, "α = 2r": 2.0}.items()):
        middle.barh(row, scale, color=BLUE, height=0.55)
        middle.text(scale + 0.06, row, f"{scale:g} × B·A", va="center", size=10)
        middle.text(-0.06, row, name, va="center", ha="right", size=10)
    middle.set(xlim=(-1.1, 3.4), ylim=(2.6, -0.6))
    axis = [n / 20 - 0.4 for n in range(56)]
    losses = [[(b * a - 1) ** 2 for a in axis] for b in axis]
    right.contour(axis, axis, losses, levels=[0.1, 0.5, 1.5], colors="#b8bdc2", linewidths=1)
    valley = [n / 20 for n in range(9, 48)]
    right.plot(valley, [1 / a for a in valley], "--", color="black", lw=1.4)
    for rate, steps, color in ((0.15, 14, BLUE), (1.2, 2, VERMILION)):
        path = [(0.5, 0.0)]
        for _ in range(steps):
            a, b = path[-1]
            off = 2 * (b * a - 1)
            path.append((a - rate * off * b, b - rate * off * a))
        right.plot([a for a, _ in path], [b for _, b in path], "o-", color=color, ms=4, lw=1.6)
    right.text(0.62, 2.2, "valley", size=10, va="center")
    right.set(xlim=(-0.4, 2.4), ylim=(-0.4, 2.4))
    for ax in (left, right):
        ax.set_aspect("equal", anchor="N")
    for ax, title in ((left, "r: how wide"), (middle, "α/r: how strong"), (right, "rate: how far a step")):
        ax.set_title(title, size=12)
        ax.axis("off")
    return figure, (
        f"three knobs. The rank is the width of B and A beside W, here {narrow}, dashed {wide}. α/r multiplies what "
        "comes out of B and A. The learning rate is the length of a step on lesson 02's map: short steps walk down, "
        "long ones jump over the valley."
    )


Lines = Mapping[str, Sequence[tuple[int, Summary]]]


def of_rules(loss: Lines) -> tuple[str, str]:
    """What the three rules' lines show, and their numbers, rank by rank."""
    flattest = min(
        loss, key=lambda rule: max(one.mean for _, one in loss[rule]) - min(one.mean for _, one in loss[rule])
    )
    sentences = []
    for rule, points in loss.items():
        ends = ", ".join(f"{one.mean:.2f}" for _, one in points)
        sentences.append(f"With {rule}, ranks {points[0][0]} to {points[-1][0]} end at {ends} nats.")
    return (
        f"the held-out loss against the rank, a line for each rule. {flattest} is nearly flat; the others bend.",
        " ".join(sentences),
    )


def of_methods(rows: Mapping[str, Mapping[str, Summary]]) -> tuple[Figure, str, str]:
    """A row for each method, and in it a mark and an interval for each way to run it;
    the first is what all are held to.

    Vermilion: above the first one's band. Returns the finding and the numbers, too.
    """
    figure = Figure(figsize=(7.2, 1.0 + 0.9 * len(rows)))
    ax, here = figure.subplots(), next(iter(next(iter(rows.values())).values()))
    ax.axvspan(here.low, here.high, color="#d6e6f2", lw=0)
    worse = 0
    for y, ways in enumerate(rows.values()):
        for n, (way, one) in enumerate(ways.items()):
            above = one.apart(here) and one.mean > here.mean
            worse += above
            color, at = VERMILION if above else BLUE, y + (n - (len(ways) - 1) / 2) * 0.3
            ax.plot([one.low, one.high], [at, at], color=color, lw=2.4)
            ax.plot([one.mean], [at], "o", color=color, ms=7)
            label(ax, one.high, at, way, "black", size=10)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel="held-out loss (nats), 95% interval over three seeds")
    left, right = ax.get_xlim()
    ax.set_xlim(left, right + 0.12 * (right - left))
    ax.set_title("No variant lies below LoRA's band")
    ax.grid(axis="y", visible=False)
    every = {f"{name}, {way}": one for name, ways in rows.items() for way, one in ways.items()}
    return figure, f"no row lies below LoRA's band; {worse} lie above it, in vermilion.", of_intervals(every)


def of_intervals(rows: Mapping[str, Summary]) -> str:
    """Each contender's interval, to the thousandth: intervals that only just miss each other must not look equal."""
    return " ".join(f"{name}: {one.low:.3f} to {one.high:.3f}." for name, one in rows.items())
