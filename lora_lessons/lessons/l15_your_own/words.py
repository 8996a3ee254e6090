"""What lesson 15 says in sentences: what a split can tell, what a plan means, how the scores are to be read."""

from __future__ import annotations

from ... import evaluation, memory
from ...machine import machine
from ...outside import in_line
from ...tasks.personal import masked
from ...training import Settings
from .my_data import MyData
from .planning import Place
from .scoring import SideBySide


def drawn(data: MyData) -> str:
    """How many examples were taken, of how many."""
    taken = len(data.train) + len(data.held_out)
    said = f"{in_line(data.path.name)} holds {data.of:,} good example{'s' * (data.of != 1)}"
    if data.of > taken + data.left_out:
        said += f"; {taken + data.left_out} of them were drawn at random, as many as the steps below can use"
    if data.left_out:
        said += f"; {data.left_out} are left out, longer than {data.longest} tokens or refused by the chat template"
    return f"{said}."


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
    said = (
        f"If all {held_out} held-out answers were good, the true share of good ones could still be as low as {low:.0%}"
    )
    said += f"; at {half} of {held_out} it could be anything from {between[0]:.0%} to {between[1]:.0%}."
    if held_out < 10:
        return f"{said} So few lines show whether it learned the form at all, and nothing finer. Read every answer."
    return f"{said} Read a difference only where the intervals do not overlap."


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
    said = [] if how.gradient_checkpointing else ["gradient_checkpointing = True (slower, the same result)"]
    if how.batch_size > 1:
        said.append(
            f"batch_size = 1 with gradient_accumulation_steps = {how.examples_per_step} (slower, the same result)"
        )
    said += ["a smaller max_tokens (longer lines are left out)", 'precision = "nf4", or a smaller model']
    return f"set {', then '.join(said)}"


def held_out_curve(looks: dict[int, float], best: int) -> str:
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
