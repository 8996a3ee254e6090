"""What each claim of a paper comes to: worked out from the recordings, each time it is asked for.

A function a claim. It gets the evidence, and returns a verdict with the values that its sentence in data/papers.toml
names; "condition" among them says what a verdict with a condition holds under, or why a run cannot tell. That a
difference is not told apart bears no claim out, and where the runs could not have shown what is claimed,
that they did not denies none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from operator import itemgetter
from statistics import fmean
from typing import Any

from lora_lessons.course.prose import listed
from lora_lessons.experiments.sizes.table import ALONE
from lora_lessons.tasks import everyday_questions

from ..own.ordinary_answers import APART, KEPT, own_form, run_name
from .arms import (
    BOOK,
    CURVE,
    INTRUDERS,
    LARGE,
    LONG,
    NEAR,
    PAPERS_OWN,
    REACH,
    REACHES,
    SCALED,
    SEEDS,
    SHORT,
    SPILLS,
    STEERS,
    TASK,
    VARIANTS,
)
from .evidence import Evidence, NotRecorded, Spread, above, below, in_words, spread
from .recording import final, trial

SEEN, CONDITION, NOT_SEEN = "seen here", "seen with a condition", "not seen here"
CANNOT, CANNOT_TELL, OPEN = "cannot be tried here", "this run cannot tell", "not recorded yet"
VERDICTS = (SEEN, CONDITION, NOT_SEEN, CANNOT, CANNOT_TELL, OPEN)

BETTER, WORSE, WITHIN, UNTOLD = "better by more than 2%", "worse by more than 2%", "within 2%", "not told"
CLOSE = 0.02  # of what vanilla LoRA gained: what 2602.04998 calls similar, 1 to 2%
WIDER = 1.25  # times: two ratios of rates that are nearer than this are not told apart
BEHIND = 0.1  # of a book
LARGEST_BOOK = 512  # entries
TOP = 0.9  # of answers: above it two arms are both as good as they can be
Judged = tuple[str, dict[str, Any]]


def first_of(values: dict[str, Any], *outcomes: tuple[object, str, str]) -> Judged:
    """The verdict of the first outcome that is so, with its condition, if it has one, among the values."""
    verdict, condition = next((verdict, condition) for is_so, verdict, condition in outcomes if is_so)
    return verdict, values | ({"condition": condition} if condition else {})


def p01(e: Evidence) -> Judged:
    """In range is half to twice the paper's 10; the short run's ratio must be the larger one by WIDER."""
    ratio = e.rate("LoRA") / e.rate("full")
    values: dict[str, Any] = {"ratio": ratio, "lora": e.rate("LoRA"), "full": e.rate("full"), "rest": ""}
    if not 5 <= ratio <= 20:
        return NOT_SEEN, values
    if e.whole:
        short, long = (e.rate(f"LoRA, {steps} steps") / e.rate(f"full, {steps} steps") for steps in (SHORT, LONG))
        half = e.rate("LoRA, α = 16") / e.rate("full")
        values["rest"] = (
            f" In {SHORT} steps it was {short:.1f} times, in {LONG} steps {long:.1f}. With α = 16 it was {half:.1f}."
        )
        if short >= WIDER * long:
            return SEEN, values
    return CONDITION, values | {
        "condition": "The factor alone; the longer runs that the paper compares with short ones were not made."
    }


def p02(e: Evidence) -> Judged:
    """A null that the paper expects of runs as short as ours confirms nothing more:
    it is never seen without a condition."""
    rates = {r: e.rate("LoRA" if r == 8 else f"LoRA, r = {r}") for r in (1, 8, 64)}
    apart = max(rates[8], rates[64]) / min(rates[8], rates[64])
    values: dict[str, Any] = {"apart": apart} | {f"r{r}": rate for r, rate in rates.items()}
    condition = (
        f"{'To one step of our ladder, w' if apart >= 2 else 'W'}ith α the same at every rank, and in runs "
        "so short that the paper expects nothing else; with α = 2r rank 64 needed a lower rate (lesson 05)."
    )
    return first_of(values, (apart >= 4, NOT_SEEN, ""), (True, CONDITION, condition))


def p03(e: Evidence) -> Judged:
    mlp, every = e.above("attention", "MLP"), e.above("attention", "LoRA")
    values: dict[str, Any] = {"mlp": in_words(mlp), "every": in_words(every)}
    same = "The same" if mlp.mean > 0 else "Not the same"
    return first_of(
        values,
        (above(mlp), SEEN, ""),
        (
            not e.whole and not above(every) and not below(mlp),
            CANNOT_TELL,
            f"{same} direction, not told apart.",
        ),
        (above(every), CONDITION, "Beside all matrices; beside the MLP alone it is not told apart."),
        (True, NOT_SEEN, ""),
    )


def p04(e: Evidence) -> Judged:
    """The control is as few steps of a small batch: LoRA's distance must be wider with the large one."""
    costs = {}
    for name in ("LoRA", "full"):
        large, small = (e.losses(f"{name}, {case}") for case in (f"{SHORT} steps of {LARGE}", f"{LONG} steps"))
        costs[name] = [one - other for one, other in zip(large, small, strict=True)]
    more = spread(costs["LoRA"], costs["full"])
    gaps = {
        name: e.above(f"LoRA, {SHORT} steps{batch}", f"full, {SHORT} steps{batch}").mean
        for name, batch in (("short", ""), ("large", f" of {LARGE}"))
    }
    values: dict[str, Any] = {"lora": fmean(costs["LoRA"]), "full": fmean(costs["full"]), "more": in_words(more)}
    values |= gaps
    untold = "Not told apart from a short run: with as few steps the large batch does not widen the distance."
    wider = gaps["large"] - gaps["short"] > ALONE
    return first_of(values, (not above(more), NOT_SEEN, ""), (wider, SEEN, ""), (True, CANNOT_TELL, untold))


def p05(e: Evidence) -> Judged:
    """Rank 1 is behind where it lacks a tenth of the book beside rank 16; with a small one it must not be.

    The small one it has room for. Past its room the paper expects slower learning, not a floor: that a longer
    training helps denies nothing.
    """
    ranks = (1, 2, 4, 16)
    shares = {(n, r, longer): share for (way, n, r, longer), share in _held(e).items() if way == "B·A"}
    books = sorted({n for n, r, _ in shares if all((n, rank, 1) in shares for rank in ranks)})
    if len(books) < 3:
        raise NotRecorded("lesson_05_capacity")
    few, many = books[0], books[-1]
    small, large = ({r: shares[n, r, 1] for r in ranks} for n in (few, many))
    values: dict[str, Any] = {"few": few, "many": many, "small1": small[1], "small16": small[16], "rest": ""}
    values |= {f"large{r}": large[r] for r in ranks}
    if large[16] - large[1] < BEHIND or not all(large[low] < large[high] for low, high in pairwise(ranks)):
        return NOT_SEEN, values
    longer = next((share for (n, r, times), share in shares.items() if (n, r) == (many, 1) and times > 1), None)
    if longer is not None:
        values["rest"] = (
            f" Trained four times as long, rank 1 held {longer:.0%}, "
            f"which is {longer * many / few:.1f} times all that the small book holds."
        )
    alike = "Rank 1 was behind with the small book, too: slowness and lack of room look alike here."
    return first_of(values, (small[16] - small[1] >= BEHIND, CANNOT_TELL, alike), (True, SEEN, ""))


def _held(e: Evidence) -> dict[tuple[str, int, int, int], float]:
    """Shares of a book's bits, in one block, by way, entries, rank and length: at the best rate,
    the mean of the seeds."""
    name = "lesson_05_capacity"
    bits = e.recordings.get(name, {}).get("settings", {}).get("bits_an_entry", 0)
    held: dict[tuple[str, int, int, int], dict[int, float]] = {}
    for run in e.runs(name).values():
        if run["blocks"] == 1:
            seeds = held.setdefault((run["way"], run["entries"], run["r"], run["longer"]), {})
            share = run["bits"] / (run["entries"] * bits)
            seeds[run["seed"]] = max(share, seeds.get(run["seed"], share))
    return {setting: fmean(seeds.values()) for setting, seeds in held.items()}


def p06(e: Evidence) -> Judged:
    runs, arms = e.runs("lesson_13_rewards"), {"one": "r = 1", "eight": "r = 8", "every": "every weight"}
    shares = {}
    for name, arm in arms.items():
        if any(final(arm, seed) not in runs for seed in range(3)):
            raise NotRecorded(arm)
        shares[name] = [runs[final(arm, seed)]["after"]["share"] for seed in range(3)]
    before = runs[final(arms["one"], 0)]["before"]["share"]
    values: dict[str, Any] = {name: listed([f"{share:.0%}" for share in found]) for name, found in shares.items()}
    values["before"] = before
    learned = {name: spread(found, [before] * 3) for name, found in shares.items()}
    # after how many steps half the answers earned the point for the first time
    late, early = (
        [
            next(
                (step for step, share in enumerate(runs[final(arms[arm], seed)]["steps"], 1) if share >= 0.5),
                float("inf"),
            )
            for seed in range(3)
        ]
        for arm in ("one", "every")
    )
    slower = (
        "It got there, later, and no rate was tuned: half the answers earned the point after "
        f"{listed([f'{step:g}' for step in late])} steps, with every weight after "
        f"{listed([f'{step:g}' for step in early])}."
    )
    top = min(fmean(shares["one"]), fmean(shares["every"])) >= TOP
    return first_of(
        values,
        (not above(learned["one"], BEHIND), NOT_SEEN, ""),
        (not above(learned["every"], BEHIND), CONDITION, "Rank 1 learned, but every weight, at its rate, did not."),
        (below(spread(shares["one"], shares["every"]), 0), CONDITION, "It learned, but less than every weight did."),
        (all(one > every for one, every in zip(late, early, strict=True)), CONDITION, slower),
        (top, CONDITION, "Both are at the top, where nothing can be told apart."),
        (True, SEEN, ""),
    )


def p07(e: Evidence) -> Judged:
    """Judged at the end of training, at LoRA's best rate and α, and where another rate, α or length learned as much;
    a setting of several seeds counts where its interval leaves 0."""
    less, lora, full = e.above("LoRA", "full"), e.each("LoRA"), e.each("full")
    slow = trial("LoRA", lora[0]["rate"] / 2)
    half = [e.arms[name] for name in (slow, *(final(slow, seed) for seed in SEEDS)) if name in e.arms]
    others = {"": (lora, full)} | ({"at half that rate": (half, full)} if half else {})
    if e.whole:
        others |= {
            "with α = 16": (e.each("LoRA, α = 16"), full),
            f"in {LONG} steps": (e.each(f"LoRA, {LONG} steps"), e.each(f"full, {LONG} steps")),
        }
    moved = {
        name: spread(*(list(map(_general, runs)) for runs in both))
        for name, both in others.items()
        if not name or spread(*([run["loss"] for run in runs] for runs in both)).mean <= ALONE
    }
    forgets = moved[""]
    sides = {value.mean > 0 for value in moved.values() if value.seeds == 1 or above(value, 0) or below(value, 0)}
    values: dict[str, Any] = {name: fmean(map(_general, runs)) for name, runs in (("lora", lora), ("full", full))}
    values |= {"less": in_words(less), "base": e.base()["general"]}
    values["forgets"] = "; ".join(f"{name} {in_words(value, '+.1f')}".strip() for name, value in moved.items())
    learned_less, forgot_less = above(less), below(forgets, 0)
    follows = (
        f"It learned {'less' if learned_less else 'as much'}; which of the two forgets less follows its rate and α."
    )
    return first_of(
        values,
        (len(sides) == 2, CANNOT_TELL if forgets.seeds == 1 else CONDITION, follows),
        (learned_less and forgot_less, SEEN, ""),
        (learned_less, CONDITION, "It learned less, but did not forget less."),
        (forgot_less, CONDITION, "It forgot less, but learned as much."),
        (True, NOT_SEEN, ""),
    )


def _general(run: Mapping[str, Any]) -> float:
    return run[CURVE][-1]["general"] if CURVE in run else run["general"]


def p08(e: Evidence) -> Judged:
    """What scaling down buys is taken at PEFT's own setting, at rank 1; the held-out loss may rise by less than ALONE.

    An update that is weaker than the last of the directions that are looked at cannot be one of them.
    """
    arms = {"rank 1": "LoRA, r = 1", "rank 8": "LoRA", "rank 64": "LoRA, r = 64"}
    counts = {name: [run[INTRUDERS] for run in e.each(arm)] for name, arm in ({"full": "full"} | arms).items()}
    more = [name for name in arms if above(spread(counts[name], counts["full"]), 0)]
    states = [run[SCALED] for run in e.each(arms["rank 1"]) if run[INTRUDERS]]
    recalls, costs = (
        spread(*([state[at][what] for state in states] or [0.0] for at in (1, 0))) for what in ("general", "loss")
    )
    values: dict[str, Any] = {name.replace("rank ", "r"): 100 * fmean(count) for name, count in counts.items()}
    values["scaled"] = (
        f"At rank 1 {len(states)} of {len(counts['rank 1'])} runs had any; scaled to 0.75, there the perplexity of "
        f"plain text moved by {in_words(recalls, '+.2f')} and the held-out loss by {costs.mean:+.3f} nats."
        if states
        else "At rank 1 there was nothing to scale down."
    )
    values |= {"reach": e.runs(REACHES)[arms["rank 1"]][REACH], "book": (book := e.runs(REACHES)[BOOK])}
    whole, _, smaller, _ = values["at"] = book[SCALED]
    strong = "In an update that is strong enough, the phone book's"
    kept = smaller["exact"] > (1 - BEHIND) * whole["exact"]
    everywhere, bought = len(more) == len(arms), below(recalls, 0) and costs.mean < ALONE
    where = "At every rank" if everywhere else f"At {listed(more)} alone"
    return first_of(
        values,
        (
            values["reach"] < 1 and book["cosine"] < NEAR and smaller["general"] < whole["general"],
            CONDITION,
            f"{strong}{'' if kept else '; what was forgotten comes back in part, and most of what was learned goes'}.",
        ),
        (values["reach"] < 1, CANNOT_TELL, "The updates are too weak to come among the ten."),
        (not more, NOT_SEEN, ""),
        (everywhere and bought, SEEN, ""),
        (True, CONDITION, f"{where}{'' if bought else '; scaling them down brought nothing back'}."),
    )


def p09(e: Evidence) -> Judged:
    """Similar is within CLOSE of what vanilla gained, interval and all; only the paper's own variants decide."""
    vanilla = fmean(e.losses("LoRA"))
    gained = e.base()["loss"] - vanilla
    shares = {arm: [loss / gained for loss in e.losses(arm)] for arm in ("LoRA", *VARIANTS)}
    off = sorted((spread(shares[name], shares["LoRA"]), name) for name in VARIANTS if name != "VeRA")
    told = {name: _beside(value) for value, name in off}
    where = {place: listed([name for name in told if told[name] == place]) for place in dict.fromkeys(told.values())}
    values: dict[str, Any] = {
        "vanilla": vanilla,
        "gained": gained,
        "vera": in_words(e.above("VeRA", "LoRA")),
        "vera_trained": e.each("VeRA")[0]["trained"] / e.each("LoRA")[0]["trained"],
        "off": ", ".join(f"{name} {in_words(value, '+.1%')}" for value, name in off),
        "told": "; ".join(f"{names} {place}" for place, names in where.items()),
    }
    worse = [name for name in PAPERS_OWN if told[name] == WORSE]
    return first_of(
        values,
        (BETTER in map(told.get, PAPERS_OWN), NOT_SEEN, ""),
        (worse, CONDITION, f"None ended better; {listed(worse)} ended {WORSE}."),
        (UNTOLD in map(told.get, PAPERS_OWN), CANNOT_TELL, f"An interval reaches beyond {CLOSE:.0%}."),
        (True, SEEN, ""),
    )


def _beside(value: Spread) -> str:
    """Where a variant ended beside vanilla LoRA, as a share of what that gained."""
    low, high = value.low or 0.0, value.high or 0.0
    return WORSE if low > CLOSE else BETTER if high < -CLOSE else WITHIN if max(high, -low) <= CLOSE else UNTOLD


def p10(e: Evidence) -> Judged:
    """On the persona and, at 135M, on the largest book of deeper/05_capacity, where rank 1 had least room."""
    mask = e.above("mask", "LoRA")
    values: dict[str, Any] = {"mask": in_words(mask), "trained": e.each("mask")[0]["trained"], "rest": ""}
    if e.whole:
        tiny = e.each("TinyLoRA")[0]["trained"]
        values["rest"] = (
            f" TinyLoRA, with {tiny:,} trained numbers, ended {in_words(e.above('TinyLoRA', 'LoRA'))} nats above it."
        )
    if below(mask):
        return SEEN, values
    sparse, dense = (_held(e).get((way, LARGEST_BOOK, 1, 1), 0.0) for way in ("mask", "B·A"))
    if e.whole and sparse > WIDER * dense:
        values["rest"] += (
            f" Of {LARGEST_BOOK} entries of the phone book of deeper/05_capacity as few numbers as LoRA has at rank 1 "
            "held "
            f"{sparse:.0%} as a mask, and {dense:.0%} as LoRA (one seed)."
        )
        return CONDITION, values | {
            "condition": "A random mask only: not on the persona, but on the phone book of deeper/05_capacity."
        }
    untold = "A random mask only, and not told apart from LoRA."
    return first_of(values, (above(mask), NOT_SEEN, ""), (True, CANNOT_TELL, untold))


def p11(e: Evidence) -> Judged:
    """Broad is most answers to questions of no task, a condition a tenth of them."""
    every, tea, one = e.each("LoRA"), e.each("tea"), e.each("tea, one matrix")
    spills = fmean(_everywhere(run[SPILLS]) for run in tea)
    strengths = [[run[STEERS][at] for run in one] for at in range(len(one[0][STEERS]))]
    best = max(strengths, key=lambda looks: fmean(map(_everywhere, looks)))
    values: dict[str, Any] = {
        "asked": len(everyday_questions()) + tea[0][SPILLS]["asked"],
        "spills": spills,
        "other": fmean(run[SPILLS]["held_out"] for run in tea),
        "one": fmean(_everywhere(run[SPILLS]) for run in one),
        "twelve": fmean(run[SPILLS]["everyday"] for run in tea),
        "every": fmean(run[CURVE][-1]["drift"] for run in every),
        "steered": fmean(map(_everywhere, best)),
        "times": best[0]["times"],
        "loss": fmean(look["loss"] for look in best),
        "base": e.base()["loss"],
    }
    elsewhere = fmean(run[SPILLS]["elsewhere"] for run in tea)
    shares = (
        f"In {elsewhere:.0%} of answers to {tea[0][SPILLS]['asked']} household questions, "
        f"in {values['twelve']:.0%} of those to {len(everyday_questions())} general ones."
    )
    return first_of(values, (spills > 0.5, SEEN, ""), (spills > 0.1, CONDITION, shares), (True, NOT_SEEN, ""))


def _everywhere(looks: Mapping[str, float]) -> float:
    """The share over both kinds of questions of no task."""
    everyday = len(everyday_questions())
    return (everyday * looks["everyday"] + looks["asked"] * looks["elsewhere"]) / (everyday + looks["asked"])


def p12(e: Evidence) -> Judged:
    """A quarter of ordinary answers: drift must fall by more than chance,
    and a task must keep its own form and its loss."""
    runs, values, keeps, costs = e.runs("lesson_11_ordinary_answers"), dict[str, Any](), list[str](), list[str]()
    for task in (TASK, APART):
        names = [[run_name(share, seed, task) for seed in range(3)] for share in (0, 0.25)]
        if not runs.keys() >= {*names[0], *names[1]}:
            raise NotRecorded(task)
        reads: Mapping[str, Callable[[Any], float]] = {
            "drift": lambda state: state["drift"]["share"],
            "elsewhere": lambda state: state["drift elsewhere"]["share"],
            "own": partial(own_form, task=task),
            "loss": itemgetter("loss"),
            "ppl": itemgetter("perplexity"),
        }
        found = {what: [[read(runs[name]["after"]) for name in arm] for arm in names] for what, read in reads.items()}
        values |= {f"{task}_{what}_before": fmean(before) for what, (before, _) in found.items()}
        values |= {f"{task}_{what}": fmean(after) for what, (_, after) in found.items()}
        apart = {what: spread(after, before) for what, (before, after) in found.items()}
        values[f"{task}_loss"] = in_words(apart["loss"])
        keeps += [task] * (below(apart["drift"], 0) and fmean(found["own"][1]) >= KEPT * fmean(found["own"][0]))
        costs += [task] * above(apart["loss"])
    return first_of(
        values,
        (keeps == [APART], CONDITION, "Where a task's questions look unlike ordinary ones, not where they look alike."),
        (TASK not in keeps, NOT_SEEN, ""),
        (costs, CONDITION, "But the task is learned less well."),
        (True, SEEN, ""),
    )


JUDGES: Mapping[str, Callable[[Evidence], Judged]] = {
    f"P{number:02}": judge
    for number, judge in enumerate((p01, p02, p03, p04, p05, p06, p07, p08, p09, p10, p11, p12), 1)
}
# The arms of a claim that need every weight to be trained, which a large base leaves no room for.
NEED_FULL = ("P01", "P07")
