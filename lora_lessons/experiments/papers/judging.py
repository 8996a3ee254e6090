"""What each claim of a paper comes to: worked out from the recordings, each time it is asked for.

A function a claim. It gets the evidence, and returns a verdict with the values that its sentence in data/papers.toml names;
"condition" among them says what a verdict with a condition holds under.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from ...tasks import everyday_questions
from ..ordinary_answers import own_form
from .arms import CURVE, INTRUDERS, LARGE, LONG, SCALED, SHORT, SPILLS, STEERS, VARIANTS
from .evidence import ALONE, Evidence, NotRecorded, above, below, in_words, listed, spread
from .recording import final, trial

SEEN, CONDITION, NOT_SEEN = "seen here", "seen with a condition", "not seen here"
CANNOT, OPEN = "cannot be tried here", "not recorded yet"
VERDICTS = (SEEN, CONDITION, NOT_SEEN, CANNOT, OPEN)

CLOSE = 0.02  # of what vanilla LoRA gained: what 2602.04998 calls similar, 1 to 2%
WIDER = 1.25  # times: two ratios of rates that are nearer than this are not told apart
BEHIND = 0.1  # of a book
TOP = 0.9  # of answers: above it two arms are both as good as they can be
Judged = tuple[str, dict[str, Any]]


def p01(e: Evidence) -> Judged:
    """In range is half to twice the paper's 10; the short run's ratio must be the larger one by WIDER."""
    ratio = e.rate("LoRA") / e.rate("full")
    values: dict[str, Any] = {"ratio": ratio, "lora": e.rate("LoRA"), "full": e.rate("full"), "rest": ""}
    if not 5 <= ratio <= 20:
        return NOT_SEEN, values
    try:
        short, long = (e.rate(f"LoRA, {steps} steps") / e.rate(f"full, {steps} steps") for steps in (SHORT, LONG))
    except NotRecorded:
        return CONDITION, values | {"condition": "The factor alone; of shorter and longer runs it is not recorded."}
    half = e.rate("LoRA, α = 16") / e.rate("full")
    values["rest"] = (
        f" In {SHORT} steps it was {short:.1f} times, in {LONG} steps {long:.1f}. With α = 16 it was {half:.1f}."
    )
    if short >= WIDER * long:
        return SEEN, values
    return CONDITION, values | {"condition": "The factor, but it was no larger in the shorter run."}


def p02(e: Evidence) -> Judged:
    rates = {r: e.rate("LoRA" if r == 8 else f"LoRA, r = {r}") for r in (1, 8, 64)}
    apart = max(rates[8], rates[64]) / min(rates[8], rates[64])
    values: dict[str, Any] = {"apart": apart} | {f"r{r}": rate for r, rate in rates.items()}
    if apart < 2:
        return SEEN, values
    return (CONDITION, values | {"condition": "To one step of our ladder."}) if apart < 4 else (NOT_SEEN, values)


def p03(e: Evidence) -> Judged:
    mlp, every = e.above("attention", "MLP"), e.above("attention", "LoRA")
    values: dict[str, Any] = {"mlp": in_words(mlp), "every": in_words(every)}
    if above(mlp):
        return SEEN, values
    beside = {"condition": "Beside all matrices; beside the MLP alone it is not told apart."}
    return (CONDITION, values | beside) if above(every) else (NOT_SEEN, values)


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
    if not above(more):
        return NOT_SEEN, values
    if gaps["large"] - gaps["short"] > ALONE:
        return SEEN, values
    return CONDITION, values | {"condition": "But a run of as few steps costs it as much with a small batch."}


def p05(e: Evidence) -> Judged:
    """Shares of a book's bits, in one block, at each rank's best rate, over the seeds that are recorded.

    Rank 1 is behind where it holds a tenth of the book less than rank 16, and full only if four times as many passes leave
    it there.
    """
    name, ranks = "lesson_18_capacity", (1, 2, 4, 16)
    bits = e.recordings.get(name, {}).get("settings", {}).get("bits_an_entry", 0)
    held: dict[tuple[int, int, int], dict[int, float]] = {}
    for run in e.runs(name).values():
        if run["way"] == "B·A" and run["blocks"] == 1:
            seeds = held.setdefault((run["entries"], run["r"], run["longer"]), {})
            share = run["bits"] / (run["entries"] * bits)
            seeds[run["seed"]] = max(share, seeds.get(run["seed"], share))
    shares = {setting: fmean(seeds.values()) for setting, seeds in held.items()}
    books = sorted({n for n, r, _ in shares if all((n, rank, 1) in shares for rank in ranks)})
    if len(books) < 3:
        raise NotRecorded(name)
    few, many = books[0], books[-1]
    small, large = ({r: shares[n, r, 1] for r in ranks} for n in (few, many))
    values: dict[str, Any] = {"few": few, "many": many, "small1": small[1], "small16": small[16], "rest": ""}
    values |= {f"large{r}": large[r] for r in ranks}
    if large[16] - large[1] < BEHIND or not all(large[low] < large[high] for low, high in pairwise(ranks)):
        return NOT_SEEN, values
    longer = next((share for (n, r, times), share in shares.items() if (n, r) == (many, 1) and times > 1), None)
    if longer is None:
        return CONDITION, values | {"condition": "After 64 looks at each entry; a longer training is not recorded."}
    values["rest"] = f" Trained four times as long, rank 1 held {longer:.0%}."
    if large[16] - longer < BEHIND:
        return CONDITION, values | {"condition": "A low rank is slow, not full: it catches up in a longer training."}
    if small[16] - small[1] >= BEHIND:
        return CONDITION, values | {"condition": "But rank 1 was behind with the small book, too."}
    return SEEN, values


def p06(e: Evidence) -> Judged:
    runs, arms = e.runs("lesson_17_rewards"), {"one": "r = 1", "eight": "r = 8", "every": "every weight"}
    shares = {}
    for name, arm in arms.items():
        if any(final(arm, seed) not in runs for seed in range(3)):
            raise NotRecorded(arm)
        shares[name] = [runs[final(arm, seed)]["after"]["share"] for seed in range(3)]
    before = runs[final(arms["one"], 0)]["before"]["share"]
    values: dict[str, Any] = {name: listed([f"{share:.0%}" for share in found]) for name, found in shares.items()}
    values["before"] = before
    learned = {name: spread(found, [before] * 3) for name, found in shares.items()}
    if not above(learned["one"], BEHIND):
        return NOT_SEEN, values
    if not above(learned["every"], BEHIND):
        return CONDITION, values | {"condition": "Rank 1 learned, but every weight, at its rate, did not."}
    if below(spread(shares["one"], shares["every"]), 0):
        return CONDITION, values | {"condition": "It learned, but less than every weight did."}
    if min(fmean(shares["one"]), fmean(shares["every"])) >= TOP:
        return CONDITION, values | {"condition": "Both are at the top, where nothing can be told apart."}
    return SEEN, values


def p07(e: Evidence) -> Judged:
    """Judged at the end of training; beside it LoRA at the next lower rate, and both at equal loss on their way down."""
    less, lora, full = e.above("LoRA", "full"), e.each("LoRA"), e.each("full")
    ends = {name: [run[CURVE][-1]["general"] for run in runs] for name, runs in (("lora", lora), ("full", full))}
    forgets = spread(ends["lora"], ends["full"])
    at: dict[str, list[float]] = {"lora": [], "full": []}
    for pair in zip(lora, full, strict=True):
        target = max(min(look["loss"] for look in run[CURVE]) for run in pair)
        for name, run in zip(at, pair, strict=True):
            at[name].append(_where(run[CURVE], target, "general"))
    values: dict[str, Any] = {"less": in_words(less), "base": e.base()["general"], "rest": ""}
    values |= {name: fmean(found) for name, found in ends.items()} | {"equal": in_words(spread(*at.values()), "+.1f")}
    lower = e.arms.get(trial("LoRA", lora[0]["rate"] / 2), {})
    if "general" in lower:
        values["rest"] = (
            f" At half that rate LoRA ended at {lower['loss']:.3f} nats with {lower['general']:.1f} (one seed, "
            f"{lora[0]['loss']:.3f} and {ends['lora'][0]:.1f} at the whole one)."
        )
    if above(less) and below(forgets, 0):
        return SEEN, values
    if above(less):
        return CONDITION, values | {"condition": "It learned less, but did not forget less."}
    if below(forgets, 0):
        return CONDITION, values | {"condition": "It forgot less, but learned as much."}
    return NOT_SEEN, values


def _where(looks: Sequence[Mapping[str, float]], loss: float, what: str) -> float:
    """What it was when the loss first came down to `loss`, between two looks by a straight line."""
    for before, after in pairwise(looks):
        if after["loss"] <= loss < before["loss"]:
            share = (before["loss"] - loss) / (before["loss"] - after["loss"])
            return before[what] + share * (after[what] - before[what])
    return looks[0][what] if looks[0]["loss"] <= loss else looks[-1][what]


def p08(e: Evidence) -> Judged:
    """What scaling down buys is taken at PEFT's own setting, at rank 1; the held-out loss may rise by less than ALONE."""
    arms = {"rank 1": "LoRA, r = 1", "rank 8": "LoRA", "rank 64": "LoRA, r = 64"}
    counts = {name: [run[INTRUDERS] for run in e.each(arm)] for name, arm in ({"full": "full"} | arms).items()}
    more = [name for name in arms if above(spread(counts[name], counts["full"]), 0)]
    states = [run[SCALED] for run in e.each(arms["rank 1"])]
    whole, scaled = ([states_of[at] for states_of in states] for at in (0, 1))
    recalls = spread([one["general"] for one in scaled], [one["general"] for one in whole])
    costs = fmean(b["loss"] - a["loss"] for a, b in zip(whole, scaled, strict=True))
    values: dict[str, Any] = {name.replace("rank ", "r"): 100 * fmean(count) for name, count in counts.items()}
    values["scaled"] = (
        f"Scaled to 0.75 at rank 1, the perplexity of plain text moved by {in_words(recalls, '+.2f')} and the held-out loss by "
        f"{costs:+.3f} nats."
        if any(counts["rank 1"])
        else "At rank 1 there was nothing to scale down."
    )
    if not more:
        return NOT_SEEN, values
    everywhere, bought = len(more) == len(arms), below(recalls, 0) and costs < ALONE
    if everywhere and bought:
        return SEEN, values
    where = "At every rank" if everywhere else f"At {listed(more)} alone"
    return CONDITION, values | {"condition": f"{where}{'' if bought else '; scaling them down brought nothing back'}."}


def p09(e: Evidence) -> Judged:
    """Similar is within CLOSE of what vanilla gained, or not told apart; VeRA, with far fewer numbers, decides nothing."""
    vanilla = fmean(e.losses("LoRA"))
    gained = e.base()["loss"] - vanilla
    apart = {name: e.above(name, "LoRA") for name in VARIANTS}
    rivals = {name: value for name, value in apart.items() if name != "VeRA"}
    better = [name for name, value in rivals.items() if below(value, CLOSE * gained)]
    worse = [name for name, value in rivals.items() if above(value, CLOSE * gained)]
    off = sorted((value.mean / gained, name) for name, value in rivals.items())
    values: dict[str, Any] = {"vanilla": vanilla, "gained": gained, "vera": in_words(apart["VeRA"])}
    values["off"] = ", ".join(f"{name} {share:+.1%}" for share, name in off)
    values["vera_trained"] = e.each("VeRA")[0]["trained"] / e.each("LoRA")[0]["trained"]
    if better:
        return NOT_SEEN, values | {"off": f"{values['off']} ({listed(better)} ended better)"}
    return (
        (CONDITION, values | {"condition": f"None ended better; {listed(worse)} ended worse."})
        if worse
        else (SEEN, values)
    )


def p10(e: Evidence) -> Judged:
    mask = e.above("mask", "LoRA")
    values: dict[str, Any] = {"mask": in_words(mask), "trained": e.each("mask")[0]["trained"], "rest": ""}
    try:
        tiny = e.each("TinyLoRA")
        values["rest"] = (
            f" TinyLoRA, with {tiny[0]['trained']:,} trained numbers, ended {in_words(e.above('TinyLoRA', 'LoRA'))} nats above it."
        )
    except NotRecorded:
        pass
    if below(mask):
        return SEEN, values
    if above(mask):
        return NOT_SEEN, values
    return CONDITION, values | {"condition": "It was not told apart from LoRA."}


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
    if spills > 0.5:
        return SEEN, values
    return (CONDITION, values | {"condition": "In some answers, not in most."}) if spills > 0.1 else (NOT_SEEN, values)


def _everywhere(looks: Mapping[str, float]) -> float:
    """The share over both kinds of questions of no task."""
    everyday = len(everyday_questions())
    return (everyday * looks["everyday"] + looks["asked"] * looks["elsewhere"]) / (everyday + looks["asked"])


def p12(e: Evidence) -> Judged:
    """A quarter of ordinary answers: drift must fall by more than chance, and the task must keep its own form and its loss."""
    runs = e.runs("lesson_15_ordinary_answers")
    none, some = ([f"persona, {share}, seed {seed}" for seed in range(3)] for share in ("0%", "25%"))
    if not runs.keys() >= {*none, *some}:
        raise NotRecorded("persona")
    before, after = ([runs[name]["after"] for name in arm] for arm in (none, some))
    drift, own, loss, perplexity = (
        ([read(state) for state in before], [read(state) for state in after])
        for read in (lambda s: s["drift"]["share"], own_form, lambda s: s["loss"], lambda s: s["perplexity"])
    )
    values: dict[str, Any] = {
        "before": fmean(drift[0]),
        "after": fmean(drift[1]),
        "loss": in_words(spread(*loss[::-1])),
    }
    values |= {"own_before": fmean(own[0]), "own_after": fmean(own[1])}
    values |= {"ppl_before": fmean(perplexity[0]), "ppl_after": fmean(perplexity[1])}
    lost = below(spread(*own[::-1]), 0)
    if not below(spread(*drift[::-1]), 0) or lost:
        return NOT_SEEN, values
    return (
        (CONDITION, values | {"condition": "But the task is learned less well."})
        if above(spread(*loss[::-1]))
        else (SEEN, values)
    )


JUDGES: Mapping[str, Callable[[Evidence], Judged]] = {
    f"P{number:02}": judge
    for number, judge in enumerate((p01, p02, p03, p04, p05, p06, p07, p08, p09, p10, p11, p12), 1)
}
# The arms of a claim that need every weight to be trained, which a large base leaves no room for.
NEED_FULL = ("P01",)
