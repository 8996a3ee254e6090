"""Pictures of lesson 15, and what it says in sentences: the file at a glance, the loss along the way, the gain on each line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ... import evaluation, memory
from ...drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, label
from ...machine import machine
from ...outside import in_line, in_picture
from ...tasks.personal import masked
from ...tasks.splitting import topic_of
from ...training import Settings
from .my_data import MyData, Place, lengths
from .scoring import SideBySide

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
    for part, color, size, role in (
        (slice(0, inside), GREY, 22, "trains"),
        (slice(inside, None), ORANGE, 40, "held out"),
    ):
        shown = range(len(both))[part][:DOTS]
        spread = [at[n] + 0.22 * ((n * 7) % 5 - 2) / 2 for n in shown]
        ax.scatter([tokens[n] for n in shown], spread, color=color, s=size, alpha=0.8, lw=0, label=role)
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


def drawn(data: MyData) -> str:
    """How many examples were taken, of how many."""
    taken = len(data.train) + len(data.held_out)
    sentence = f"{in_line(data.path.name)} holds {data.of:,} good example{'s' * (data.of != 1)}"
    if data.of > taken + data.left_out:
        sentence += f"; {taken + data.left_out} of them were drawn at random, as many as the steps below can use"
    if data.left_out:
        sentence += f"; {data.left_out} are left out, longer than {data.longest} tokens or refused by the chat template"
    return f"{sentence}."


def parts(data: MyData) -> str:
    """What was held out, and by what."""
    split = data.split
    by = {
        "topic": f"the topics {in_line(masked(', '.join(split.topics)))}, whole",
        "group": "drawn line by line, near copies together",
        "copy": "drawn line by line; all are so alike that only equal questions were kept together, so the scores will flatter",
    }[split.by]
    moved = f" {split.moved} held-out lines said nearly what a training line says, and went over to training."
    return f"{len(data.train)} lines train, {len(data.held_out)} are held out ({by}).{moved * bool(split.moved)}"


def can_tell(held_out: int) -> str:
    """What so many held-out lines can say of a share, and what not."""
    low, _ = evaluation.interval(1.0, held_out)
    half = round(held_out / 2)
    between = evaluation.interval(half / held_out, held_out)
    sentence = (
        f"If all {held_out} held-out answers were good, the true share of good ones could still be as low as {low:.0%}"
    )
    sentence += f"; at {half} of {held_out} it could be anything from {between[0]:.0%} to {between[1]:.0%}."
    if held_out < 10:
        return f"{sentence} So few lines show whether it learned the form at all, and nothing finer. Read every answer."
    return f"{sentence} Read a difference only where the intervals do not overlap."


def plan(how: Settings, examples: int, bill: float, where: Place, seconds: float) -> str:
    """The plan: steps, passes, memory, minutes."""
    passes = how.steps * how.examples_per_step / examples
    fits = "fits" if bill <= where.room else f"does NOT fit: {lighter(how)}"
    several = how.gradient_accumulation_steps > 1
    at_once = f", {how.batch_size} at a time" * several
    return "\n".join(
        [
            f"{how.steps} steps of {how.examples_per_step} lines{at_once}: each line is seen {passes:.1f} times, at a learning rate of {how.learning_rate:g}.",
            f"By the memory ledger (lesson 07), a training step needs at most {bill / memory.GB:.1f} GB, besides Python and its "
            f"libraries; {where.words} has {where.room / memory.GB:.1f} GB free for it: it {fits}.",
            f"One step took {seconds:.1f} s on {machine()}, so training alone takes about {how.steps * seconds / 60:.1f} "
            "minutes; the looks, the answers and the export come on top.",
        ]
    )


def lighter(how: Settings) -> str:
    """Which parameters to change where a step needs more memory than there is, the mildest first."""
    changes = [] if how.gradient_checkpointing else ["gradient_checkpointing = True (slower, the same result)"]
    if how.batch_size > 1:
        changes.append(
            f"batch_size = 1 with gradient_accumulation_steps = {how.examples_per_step} (slower, the same result)"
        )
    changes += ["a smaller max_tokens (longer lines are left out)", 'precision = "nf4", or a smaller model']
    return f"set {', then '.join(changes)}"


def held_out_in_words(looks: dict[int, float], best: int) -> str:
    """The held-out loss at each look, and which was kept."""
    listed = ", ".join(f"{loss:.2f} after {step}" for step, loss in sorted(looks.items()))
    last = max(looks)
    if looks[best] >= looks[0]:
        return (
            f"the held-out loss was {listed} steps (0: the base). No look was better than the base: nothing was gained."
        )
    kept = "the last one is the best" if best == last else f"the best is that of step {best}, not the last"
    return f"the held-out loss was {listed} steps (0: the base); {kept}, and it is what was kept."


def condition(data: MyData) -> str:
    """What the intervals assume of the held-out lines."""
    again = (
        f"if other lines of these {len(data.split.topics)} topics were drawn"
        if data.split.topics
        else ("if lines like these were drawn again")
    )
    return f"The intervals say where the value would lie {again}; the step that was kept was chosen by the same lines."


def score(found: SideBySide, asked: int) -> list[tuple[str, str, str, str]]:
    """The scores as rows: what, the base's, the adapter's, and the interval or how to read it."""
    gain = found.gain
    rows = [
        (
            "held-out loss, nats a token",
            f"{found.loss[0]:.2f}",
            f"{found.loss[1]:.2f}",
            f"lower by {gain.low:.2f} to {gain.high:.2f} (95%, {gain.seeds} lines)"
            if gain
            else "one line: no interval",
        )
    ]
    if found.kept and found.drift:
        low, high = evaluation.interval(found.kept[1], asked)
        rows += [
            (
                "answers that keep the rule",
                f"{found.kept[0]:.0%}",
                f"{found.kept[1]:.0%}",
                f"{low:.0%} to {high:.0%} (95%, {asked} answers)",
            ),
            (
                "everyday answers in that form",
                f"{found.drift[0]:.0%}",
                f"{found.drift[1]:.0%}",
                "format drift: nobody asked for it",
            ),
        ]
    rows.append(
        (
            "perplexity on general text",
            f"{found.general[0]:.1f}",
            f"{found.general[1]:.1f}",
            f"× {found.general[1] / found.general[0]:.2f}: above 1 something was forgotten",
        )
    )
    return rows
