"""`claims`: does each verdict stand on the recorded runs?"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from ..outside import in_json
from .as_json import AsJson
from .options import EXIT_NO, EXIT_OK
from .terminal import say

if TYPE_CHECKING:
    from ..course.claims import Claim

_say = partial(say, hang=5)


def claims(as_json: AsJson = False) -> int:
    """Check every verdict against the recorded runs.

    Lists each claim of the glossary page, its verdict and what was measured, and says whether the runs recorded in
    data/baselines still bear the verdict out, with every seed.
    """
    from ..course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED
    from ..lessons import all_claims

    every = sorted(all_claims(), key=lambda claim: (claim.id, claim.lesson))
    judged = [(claim, *_judged(claim)) for claim in every]
    failed = sum(problem is not None for _, _, problem in judged)
    status = EXIT_NO if failed else EXIT_OK
    if as_json:
        print(in_json({"borne_out": not failed, "claims": [_as_data(*one) for one in judged]}))
        return status
    for claim, sentence, problem in judged:
        _say(f"{claim.id}  The page says: “{claim.says}”", 0)
        _say(f"{claim.written_for.capitalize()}. {sentence}".strip(), 5)
        if elsewhere := claim.elsewhere().words:
            _say(elsewhere, 5)
        _say(f"(Lesson {claim.lesson[:2]}, {claim.lesson}.)", 5)
        if problem:
            _say(problem, 5)
        print()
    count = Counter(claim.written_for for claim in every)
    words = {
        HOLDS: ("holds", "hold"),
        CONDITION: ("holds with a condition", "hold with a condition"),
        CORRECTED: ("is corrected", "are corrected"),
        NOT_TESTED: ("was not tested", "were not tested"),
    }
    told = [f"{count[verdict]} {word[count[verdict] > 1]}" for verdict, word in words.items() if count[verdict]]
    rest = "The recorded runs bear out every verdict." if not failed else f"NOT borne out: {failed}, see above."
    _say(f"{len(every)} verdict{'s' * (len(every) != 1)}: {', '.join(told) or 'none'}. {rest}", 0)
    return status


def _as_data(claim: Claim, sentence: str, problem: str | None) -> dict[str, Any]:
    return {
        "id": claim.id,
        "says": claim.says,
        "verdict": claim.written_for,
        "sentence": sentence,
        "at_sizes": claim.elsewhere().words,
        "lesson": claim.lesson,
        "problem": problem,
    }


def _judged(claim: Claim) -> tuple[str, str | None]:
    """The verdict's sentence with the values recorded, and what is wrong with it, if anything."""
    from ..run.baselines import read_baseline, values

    baseline = read_baseline(claim.lesson, "quick") or {"records": {}}
    measured = values(baseline)
    seeds = min((len(entry["seeds"]) for entry in baseline["records"].values()), default=0)
    try:
        verdicts = [claim.judge(measured), *(claim.judge(values(baseline, seed)) for seed in range(seeds))]
        sentence = claim.filled(measured)
    except KeyError as error:
        return "", f"NOT MEASURED: {error.args[0]}"
    others = {verdict or "none of the verdicts" for verdict in verdicts if verdict != claim.written_for}
    if not others:
        return sentence, None
    return sentence, f"NOT BORNE OUT: the recorded runs say {' and '.join(sorted(others))}."
