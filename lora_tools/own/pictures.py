"""Pictures of a file at a glance and of the loss along the way; and what is said in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lora_lessons import evaluation
from lora_lessons.course.blind_judge import Pair
from lora_lessons.course.live import LossCurve
from lora_lessons.drawing import BLUE, GREY, WIDTH, label
from lora_lessons.errors import holding
from lora_lessons.outside import in_line, in_picture, visible
from lora_lessons.tasks.personal import masked
from lora_lessons.tasks.splitting import Example, topic_of
from lora_lessons.training import Training

from ..inspection import Xray
from ..inspection.picture import cells, heat_map, name_of, summary
from .my_data import MyData, lengths
from .scoring import EVERYDAY, LOOKS, KeepBest, Preferred, SideBySide, mean

# so many topics have a row of their own
ROWS = 12
# a row holds at most so many squares; in a longer file each stands for several lines
SQUARES = 40
INK = "#202124"
# what a loss is counted in; of preferences, per pair
TOKEN = "nats per token"


def lines_of(data: MyData) -> tuple[Figure, str, str]:
    """One square a line of the file, a row a topic: grey where it trains, hollow where it is held out."""
    parts = {"trains": data.split.train, "held out": data.split.held_out}
    topics = Counter(topic_of(one) for part in parts.values() for one in part)
    by_role = not any(topics)
    rows = _rows(parts, by_role)
    each = -(-max(map(sum, rows.values())) // SQUARES)
    figure = Figure(figsize=(WIDTH, 1.0 + 0.27 * len(rows)))
    ax = figure.subplots()
    styles: list[dict[str, Any]] = [{"color": GREY}, {"facecolor": "white", "edgecolor": INK, "lw": 1.6}]
    squares = {name: [-(-count // each) for count in counts] for name, counts in rows.items()}
    widest = max(map(sum, squares.values()))
    for place, (role, style) in enumerate(zip(parts, styles, strict=True)):
        at = [(sum(counts[:place]) + n, y) for y, counts in enumerate(squares.values()) for n in range(counts[place])]
        ax.scatter(
            [x for x, _ in at], [y for _, y in at], marker="s", s=110 if widest < 20 else 30, label=role, **style
        )
    ax.set_yticks(range(len(rows)), [in_picture(name if len(name) < 24 else f"{name[:22]}…") for name in rows])
    ax.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-0.7, max(8, widest) - 0.3), xticks=[])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(f"{len(data.train)} lines train, {len(data.held_out)} are held out")
    if not by_role:
        figure.legend(loc="outside right center")
    tokens, many = [*lengths(data.train), *lengths(data.held_out)], len(topics)
    whole = f": all of {masked(', '.join(data.split.topics))}" if data.split.topics else ""
    numbers = f"{len(tokens)} lines{f' on {many} topics' * (many > 1)}, {min(tokens)} to {max(tokens)} tokens long."
    return (
        figure,
        f"{len(data.train)} lines train (grey), {len(data.held_out)} are held out (hollow){whole}.",
        numbers + f" A square stands for {each} lines." * (each > 1),
    )


def _rows(parts: Mapping[str, Sequence[Example]], by_role: bool) -> dict[str, list[int]]:
    """How many lines of each row train and are held out: a row a topic, the commonest first, or one for each part."""
    if by_role:
        return {role: [len(part) * (role == other) for other in parts] for role, part in parts.items()}
    names = [[masked(topic_of(one)) or "(no topic)" for one in part] for part in parts.values()]
    common = [name for name, _ in Counter(name for part in names for name in part).most_common(ROWS)]
    rows = {name: [part.count(name) for part in names] for name in common}
    if any(others := [sum(name not in common for name in part) for part in names]):
        rows["others"] = others
    return rows


class LossesAndLooks(LossCurve):
    """A `LossCurve` that lets a KeepBest look, and draws what it saw: held out beside training."""

    def __init__(self, keep: KeepBest, before: Sequence[float], unit: str = TOKEN) -> None:
        super().__init__()
        self.keep, self.before, self.unit = keep, before, unit

    def __call__(self, run: Training) -> None:
        """Take in the run's story so far."""
        self.keep(run)
        super().__call__(run)

    @property
    def looks(self) -> dict[int, float]:
        """The mean held-out loss at each look; 0 is the base."""
        return {step: mean(losses) for step, losses in ({0: self.before} | self.keep.looks).items()}

    def picture(self) -> Figure:
        """Training and held-out loss so far."""
        return held_out_curve(self.run.losses, self.looks, self.run.steps, self.keep.best, self.unit)

    def words(self) -> str:
        """What the looks found so far."""
        return held_out_in_words(self.looks, self.keep.best, self.unit)


def held_out_curve(
    training: Sequence[float], looks: Mapping[int, float], last: int, kept: int, unit: str = TOKEN
) -> Figure:
    """The loss of each training step as dots, the held-out loss at each look as a line, and the look that is kept."""
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    ax = figure.subplots()
    ax.plot(range(1, len(training) + 1), training, ".", color=GREY, alpha=0.7)
    steps, low = sorted(looks), min(looks, key=lambda step: looks[step])
    ax.plot(steps, [looks[step] for step in steps], "o-", color=BLUE)
    for step in steps:
        label(ax, step, looks[step], f"{looks[step]:.2f}", BLUE, xytext=(0, 13), ha="center")
    label(ax, steps[-1], looks[steps[-1]], "held out", BLUE, xytext=(20, 0))
    label(ax, len(training), training[-1], "each training step", GREY, xytext=(8, 0))
    ax.set(
        xlabel="step",
        ylabel=f"loss ({unit})",
        xlim=(-0.09 * last, 1.4 * last),
        ylim=(0, 1.15 * max(*training, *looks.values())),
    )
    ax.set_xticks([round(last * n / LOOKS) for n in range(LOOKS + 1)])
    ax.set_title("The loss on lines that it trains on, and on others")
    if kept:
        ax.plot([kept], [looks[kept]], "o", ms=15, mfc="none", mec=INK, mew=2)
        label(ax, kept, looks[kept], "kept", INK, xytext=(0, -18), ha="center")
        ax.set_title(f"Held out, the loss is lowest after step {low}" if low else "Held out, nothing was gained")
    return figure


def held_out_in_words(looks: Mapping[int, float], kept: int, unit: str = TOKEN) -> str:
    """What the looks found, and which of them is kept: the one after step `kept`; 0 before the first."""
    if not kept:
        return f"The held-out loss is {looks[0]:.2f} {unit} before training."
    if min(looks.values()) >= looks[0]:
        return f"The held-out loss never fell below the {looks[0]:.2f} {unit} that it began at: nothing was gained."
    return (
        f"The held-out loss {'fell' if looks[kept] < looks[0] else 'rose'} from {looks[0]:.2f} {unit} to "
        f"{looks[kept]:.2f} after step {kept}, {'the last' if kept == max(looks) else 'not the last'}. "
        "The A and B of that step are kept."
        + " The loss was lower at another look, where fewer different answers stood in the frame that your lines share."
        * (looks[kept] > min(looks.values()))
    )


def where_it_changed(xray: Xray) -> tuple[Figure, str, str]:
    """The heat map of an adapter; where its base was looked at, the matrix that changed most for its size."""
    figure = heat_map(xray)
    figure.set_size_inches(WIDTH, 3.3)
    if xray.base is None or xray.base.ratio is None:
        return figure, "The brighter a matrix, the larger its change.", summary(xray)
    most = max(cells(xray).values(), key=lambda cell: cell.value or 0.0)
    figure.axes[0].set_title(in_picture(f"For its size, {name_of(most)} changed most"))
    return figure, f"For its size, {name_of(most)} changed most: by {most.value or 0.0:.1%} of ‖W‖.", summary(xray)


def drawn(data: MyData) -> str:
    """How many examples were taken, of how many."""
    taken = len(data.train) + len(data.held_out)
    said = holding(
        (True, f"{in_line(data.path.name)} holds {data.of:,} good example{'s' * (data.of != 1)}"),
        (
            data.of > taken + data.left_out,
            f"{taken + data.left_out} of them were drawn at random, as many as the steps below can use",
        ),
        (
            data.left_out,
            f"{data.left_out} are left out, longer than {data.longest} tokens or refused by the chat template",
        ),
    )
    return f"{'; '.join(said)}."


def parts(data: MyData) -> str:
    """What was held out, and by what."""
    split = data.split
    by = {
        "topic": f"the topics {in_line(masked(', '.join(split.topics)))}, whole",
        "group": "drawn line by line, near copies together",
        "copy": (
            "drawn line by line; all are so alike that only equal questions were kept together, "
            "so the scores will flatter"
        ),
    }[split.by]
    moved = f" {split.moved} held-out lines said nearly what a training line says, and went over to training."
    return f"{len(data.train)} lines train, {len(data.held_out)} are held out ({by}).{moved * bool(split.moved)}"


def can_tell(answers: int) -> str:
    """What so many answers to held-out questions can say of a share, and what not."""
    low, _ = evaluation.interval(1.0, answers)
    half = round(answers / 2)
    between = evaluation.interval(half / answers, answers)
    sentence = (
        f"If all {answers} held-out answers were good, the true share of good ones could still be as low as {low:.0%}; "
        f"at {half} of {answers} it could be anything from {between[0]:.0%} to {between[1]:.0%}."
    )
    if answers < 10:
        return f"{sentence} So few show whether it learned the form at all, and nothing finer. Read every answer."
    return (
        f"{sentence} Intervals that do not overlap settle a difference; where they overlap, "
        "compare question by question."
    )


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
    gain, differ, one, general = found.gain, found.answers, found.preferred, found.general
    by_rule = (
        ("answers that keep the rule", found.kept, asked, ""),
        ("everyday answers in that form", found.drift, EVERYDAY, "format drift; "),
    )
    return [
        (
            f"held-out loss, {found.unit}",
            f"{found.loss[0]:.2f}",
            f"{found.loss[1]:.2f}",
            f"lower by {gain.low:.2f} to {gain.high:.2f} (95%, {gain.seeds} lines)"
            if gain
            else "one line: no interval",
        ),
        *([("different answers", "", f"{differ.adapter}", f"to {asked}; in the file {differ.file}")] if differ else []),
        *(_of_pairs(one, asked) if one else []),
        *(
            (what, f"{both[0]:.0%}", f"{both[1]:.0%}", f"{drift}{_percent(both[1], of)} (95%, {of} answers)")
            for what, both, of, drift in by_rule
            if both
        ),
        (
            "perplexity on general text",
            f"{general[0]:.1f}",
            f"{general[1]:.1f}",
            f"× {general[1] / general[0]:.2f}: above 1 something was forgotten; one text, no interval",
        ),
    ]


def _of_pairs(one: Preferred, asked: int) -> list[tuple[str, str, str, str]]:
    longer = f"{one.longer.low:+.0f} to {one.longer.high:+.0f} words (95%)" if one.longer else "one answer"
    return [
        (
            "pairs that were learned",
            "",
            f"{one.share:.0%}",
            f"{_percent(one.share, one.pairs)} (95%, {one.pairs} pairs); a coin: 50%",
        ),
        ("words an answer", f"{one.words[0]:.0f}", f"{one.words[1]:.0f}", f"{longer}; {asked} answers"),
    ]


def _percent(share: float, of: int) -> str:
    return "{:.0%} to {:.0%}".format(*evaluation.interval(share, of))


def in_words(found: SideBySide, asked: int) -> list[str]:
    """The scores in sentences, for those who know no nats: first whether the answers differ,
    then what was gained and lost."""
    one, fell, times = found.answers, "fell" if found.fall > 0 else "rose", found.general[1] / found.general[0]
    kept, drift = (shares and round(shares[1] * of) for shares, of in ((found.kept, asked), (found.drift, EVERYDAY)))
    return [
        *([one.headline or f"It gave {one.adapter} different answers to {asked} unseen questions."] if one else []),
        (
            f"The loss on the file's own answers to them {fell} by {abs(found.fall):.0%}: the lower, "
            "the better it expects them."
        ),
        *([] if kept is None else [f"{kept} of {asked} answers keep the rule."]),
        *(
            []
            if drift is None
            else [f"So do {drift} of {EVERYDAY} answers to everyday questions, where nobody asked for it."]
        ),
        f"Plain text surprises it {times:.2f} times as much as before.",
    ]


def side_by_side(pairs: Sequence[Pair], keep: KeepBest) -> str:
    """Questions with the base's answer and the adapter's; and what the last look said, where another one is kept."""
    late = keep.heard.get(max(keep.looks), []) if keep.best != max(keep.looks) else []
    more = (f"\nlast look: {visible(masked(one))}" * bool(one) for one in late + [""] * len(pairs))
    return "\n".join(map("\nQ: {0.question}\nbase:    {0.base}\nadapter: {0.adapter}{1}".format, pairs, more))
