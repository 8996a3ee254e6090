"""`lora-lessons claims`: do the recorded measurements bear the verdicts out?"""

from __future__ import annotations

from .exits import EXIT_FAILED, EXIT_OK


def claims() -> int:
    """Hold the verdicts against the records.

    Lists every claim of the glossary page, its verdict, and whether the baselines bear it out.
    """
    from ..course.claims import NOT_TESTED
    from ..lessons import all_claims
    from ..run.baselines import read_baseline, values

    status = EXIT_OK
    for claim in all_claims():
        baseline = read_baseline(claim.lesson, "quick") or {"records": {}}
        measured = values(baseline)
        seeds = min((len(entry["seeds"]) for entry in baseline["records"].values()), default=0)
        try:
            stands = [claim.judge(measured), *(claim.judge(values(baseline, seed)) for seed in range(seeds))]
            said, sentence = "borne out" if all(stands) else "NOT borne out", claim.filled(measured)
        except KeyError as error:
            stands, said, sentence = [False], "not measured", str(error.args[0])
        status = status if all(stands) else EXIT_FAILED
        judged = "" if claim.verdict == NOT_TESTED else f"; {said} by the baselines"
        print(f"{claim.id} ({claim.lesson}): {claim.verdict}{judged}.")
        print(f"    The page says: {claim.says}\n    {sentence}")
    return status
