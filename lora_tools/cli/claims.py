"""`claims`: does each verdict stand on the recorded runs?"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lora_lessons.outside import in_json

from .as_json import AsJson
from .options import EXIT_NO, EXIT_OK
from .terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lora_lessons.course.claims import Claim

    from ..papers import PaperClaim

_say = partial(say, hang=5)


def claims(
    check: Annotated[bool, typer.Option("--check", help="Say only what the recorded runs do not bear out.")] = False,
    as_json: AsJson = False,
) -> int:
    """Check every verdict against the recorded runs.

    Lists each claim of the glossary page, its verdict and what was measured, and says whether the runs recorded in
    data/baselines still bear the verdict out, with every seed. Then come the claims of papers, P01 and so on, each with
    what the course saw of it in miniature.
    """
    from lora_lessons.lessons import all_claims

    from .. import papers

    every = sorted(all_claims(), key=lambda claim: (claim.id, claim.lesson))
    judged = [(claim, *_judged(claim)) for claim in every]
    faults = papers.faults()
    rows = [] if faults else papers.rows()
    borne_out = not faults and all(problem is None for _, _, problem in judged)
    if as_json:
        found = {
            "claims": [
                {
                    "id": claim.id,
                    "says": claim.says,
                    "verdict": claim.written_for,
                    "sentence": sentence,
                    "at_sizes": claim.elsewhere().words,
                    "lesson": claim.lesson,
                    "problem": problem,
                }
                for claim, sentence, problem in judged
            ],
            "papers": [row._asdict() | {"source": row.source._asdict()} for row in rows],
        }
        print(in_json({"borne_out": borne_out} | found | {"faults": faults}))
    else:
        _say_page(judged, check)
        _say_papers(rows, faults, check)
    return EXIT_OK if borne_out else EXIT_NO


def _say_page(judged: Sequence[tuple[Claim, str, str | None]], check: bool) -> None:
    """The first ledger and its tally; of a `check` only what is wrong, and the tally."""
    from lora_lessons.course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED

    for claim, sentence, problem in judged:
        if check and not problem:
            continue
        _say(f"{claim.id}  The page says: “{claim.says}”", 0)
        _say(f"{claim.written_for.capitalize()}. {sentence}".strip(), 5)
        if elsewhere := claim.elsewhere().words:
            _say(elsewhere, 5)
        _say(f"(Lesson {claim.lesson[:2]}, {claim.lesson}.)", 5)
        if problem:
            _say(problem, 5)
        print()
    count = Counter(claim.written_for for claim, *_ in judged)
    words = {
        HOLDS: ("holds", "hold"),
        CONDITION: ("holds with a condition", "hold with a condition"),
        CORRECTED: ("is corrected", "are corrected"),
        NOT_TESTED: ("was not tested", "were not tested"),
    }
    told = [f"{count[verdict]} {word[count[verdict] > 1]}" for verdict, word in words.items() if count[verdict]]
    failed = sum(problem is not None for *_, problem in judged)
    rest = f"NOT borne out: {failed}, see above." if failed else "The recorded runs bear out every verdict."
    _say(f"{len(judged)} verdict{'s' * (len(judged) != 1)}: {', '.join(told) or 'none'}. {rest}", 0)


def _say_papers(rows: Sequence[PaperClaim], faults: Sequence[str], check: bool) -> None:
    """The second ledger, after the first; nothing where there are no papers."""
    from .. import papers

    if rows and not check:
        print()
    for row in [] if check else rows:
        _say(f"{row.id}  {row.source.authors} say: “{row.says}” ({row.figure})", 0)
        _say(f"{row.verdict.capitalize()}. {row.found or row.ours}", 5)
        for more in (row.at_sizes, f"What may differ here: {row.differs}"):
            if more:
                _say(more, 5)
        _say(f"({row.source.title}, {row.source.year}, {row.source.url}, {row.section}.)", 5)
        print()
    for fault in faults:
        _say(fault, 0)
    count = Counter(row.verdict for row in rows)
    told = ", ".join(f"{count[verdict]} {verdict}" for verdict in papers.VERDICTS if count[verdict])
    if rows:
        _say(f"{len(rows)} claims of papers: {told}.", 0)


def _judged(claim: Claim) -> tuple[str, str | None]:
    """The verdict's sentence with the values recorded, and what is wrong with it, if anything."""
    from lora_lessons.run.baselines import read_baseline, values

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
