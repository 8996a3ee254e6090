"""Pictures of lesson 15: the file at a glance, the held-out loss along the way, and the gain on each held-out line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label
from ...outside import in_picture
from ...tasks.personal import masked
from ...tasks.splitting import topic_of
from .my_data import MyData, lengths

# so many topics have a row of their own
ROWS = 12
# of so many lines each is drawn as a dot
DOTS = 400


def lines_of(data: MyData) -> tuple[Figure, str]:
    """One dot a line of the file: its topic, its length in tokens, and whether it trains or is held out."""
    figure = Figure(figsize=(8.0, 3.9))
    ax = figure.subplots()
    both = [*data.split.train, *data.split.held_out]
    names = [masked(topic_of(one)) or "(no topic)" for one in both]
    rows = [name for name, _ in Counter(names).most_common(ROWS)]
    rows += ["others"] * (len(set(names)) > len(rows))
    at = [rows.index(name) if name in rows else len(rows) - 1 for name in names]
    tokens = [*lengths(data.train), *lengths(data.held_out)]
    inside = len(data.train)
    for part, color, size, said in (
        (slice(0, inside), GREY, 22, "trains"),
        (slice(inside, None), ORANGE, 40, "held out"),
    ):
        shown = range(len(both))[part][:DOTS]
        spread = [at[n] + 0.22 * ((n * 7) % 5 - 2) / 2 for n in shown]
        ax.scatter([tokens[n] for n in shown], spread, color=color, s=size, alpha=0.8, lw=0, label=said)
    ax.set_yticks(range(len(rows)), [in_picture(name if len(name) < 24 else f"{name[:22]}…") for name in rows])
    if len(rows) == 1:
        ax.set_yticks([])
    ax.set(
        xlabel="tokens of a line (question and answer)",
        ylim=(len(rows) - 0.5, -0.5),
        xlim=(0.8 * min(tokens), 1.05 * max(tokens)),
    )
    ax.set_title("One dot per line: what trains, and what is held out")
    figure.legend(loc="outside lower center", ncols=2)
    many = len(set(names))
    words = (
        f"{len(both)} lines{f' on {many} topics' * (many > 1)}, {min(tokens)} to {max(tokens)} tokens long. "
        f"{inside} are grey and train; {len(both) - inside} are orange and held out"
        + (f": all of {masked(', '.join(data.split.topics))}." if data.split.topics else ".")
    )
    return figure, words


def held_out_curve(training: Sequence[float], looks: Mapping[int, float], best: int) -> Figure:
    """The loss of each training step as dots, the held-out loss at each look as a line, and the look that was kept."""
    figure = Figure(figsize=(7.6, 3.5))
    ax = figure.subplots()
    ax.plot(range(1, len(training) + 1), training, ".", color=GREY, alpha=0.6)
    steps = sorted(looks)
    ax.plot(steps, [looks[step] for step in steps], "o-", color=BLUE)
    ax.plot([best], [looks[best]], "o", ms=15, mfc="none", mec=VERMILION, mew=2)
    last = steps[-1]
    label(ax, last, looks[last], f"held out: {looks[last]:.2f}", BLUE, xytext=(10, 8))
    label(ax, last, training[-1], "training step", GREY, xytext=(10, -8))
    label(ax, best, looks[best], "kept", VERMILION, xytext=(0, -20), ha="center")
    top = 1.08 * max(*training, *looks.values())
    ax.set(xlabel="step", ylabel="loss (nats a token)", xlim=(-0.02 * last, 1.3 * last), ylim=(0, top))
    ax.set_title("The training loss falls. Does the held-out loss?")
    return figure


def line_by_line(before: Sequence[float], after: Sequence[float]) -> tuple[Figure, str]:
    """Each held-out line's loss, an arrow from the base to the adapter: green where it fell, red where it rose."""
    figure = Figure(figsize=(7.6, 3.5))
    ax = figure.subplots()
    order = sorted(range(len(before)), key=lambda n: before[n])
    for place, n in enumerate(order):
        color = GREEN if after[n] < before[n] else VERMILION
        ax.annotate(
            "", (place, after[n]), (place, before[n]), arrowprops={"arrowstyle": "->", "color": color, "lw": 1.8}
        )
    ax.plot(range(len(order)), [before[n] for n in order], "o", color=GREY, ms=5)
    ax.set(xlim=(-0.8, len(order) - 0.2), ylim=(0, 1.1 * max(*before, *after)))
    ax.set(xlabel="held-out lines, the easiest for the base first", ylabel="loss (nats a token)", xticks=[])
    ax.set_title("Every held-out line: from the base to your adapter")
    better = sum(b < a for a, b in zip(before, after, strict=True))
    words = (
        f"each arrow is one held-out line. The loss fell on {better} of {len(before)} "
        f"(from {sum(before) / len(before):.2f} to {sum(after) / len(after):.2f} nats a token on average)."
    )
    return figure, words
