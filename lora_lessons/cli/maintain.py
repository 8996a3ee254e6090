"""What maintainers run: the course's own adapters, its claims, tables, addresses and site."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import EXIT_FAILED, EXIT_OK, place, shown

if TYPE_CHECKING:
    from ..course.claims import Claim


def adapters(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="persona, plain_language, code_style, strict_json; none means all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=place, metavar="DIR", help="Where they go; otherwise adapters/ in this folder."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="For maintainers: replace the course's own, in its data/adapters/.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="S", help="The seed of every run.")] = 0,
) -> int:
    """Train and score the adapters of lesson 09.

    They are saved in PEFT's format, in 16 bits.
    """
    from ..experiments import shipped_adapters

    if out and record:
        raise ValueError("--record writes into the course's data/: leave out --out, or --record.")
    out = out or (None if record else place("adapters"))
    shipped_adapters.make(tasks or tuple(shipped_adapters.ABOUT), out, seed)
    if out:
        print(f"Written: {shown(out)}")
    return EXIT_OK


def badges(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="https://github.com/OWNER/NAME; without it, pyproject.toml's."),
    ] = None,
) -> int:
    """Write a fork's address into every badge.

    It also goes into the set-up cells, the README and pyproject.toml.
    """

    from ..run import repository

    changed = repository.set_address(address or repository.address())
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK


def claims() -> int:
    """Check every verdict against the recorded runs.

    Lists each claim of the glossary page, its verdict and what was measured, and says whether the runs recorded in
    data/baselines still bear the verdict out, with every seed.
    """
    from ..course.claims import CONDITION, CORRECTED, HOLDS, NOT_TESTED
    from ..lessons import all_claims

    every = sorted(all_claims(), key=lambda claim: (claim.id, claim.lesson))
    failed = 0
    for claim in every:
        sentence, problem = _judged(claim)
        failed += problem is not None
        _say(f"{claim.id}  The page says: “{claim.says}”", 0)
        where = f", {claim.where}" if claim.where else ""
        _say(f"{claim.written_for.capitalize()}{where}. {sentence}".strip(), 5)
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
    return EXIT_FAILED if failed else EXIT_OK


def _judged(claim: Claim) -> tuple[str, str | None]:
    """The verdict's sentence with the values recorded, and what is wrong with it, if anything."""
    from ..run.baselines import read_baseline, values

    baseline = read_baseline(claim.lesson, "quick") or {"records": {}}
    measured = values(baseline)
    seeds = min((len(entry["seeds"]) for entry in baseline["records"].values()), default=0)
    try:
        found = [claim.judge(measured), *(claim.judge(values(baseline, seed)) for seed in range(seeds))]
        sentence = claim.filled(measured)
    except KeyError as error:
        return "", f"NOT MEASURED: {error.args[0]}"
    others = {verdict or "none of the verdicts" for verdict in found if verdict != claim.written_for}
    if not others:
        return sentence, None
    return sentence, f"NOT BORNE OUT: the recorded runs say {' and '.join(sorted(others))}."


def _say(text: str, indent: int) -> None:
    width = min(100, max(40, shutil.get_terminal_size((100, 24)).columns))
    print(textwrap.fill(text, width, initial_indent=" " * indent, subsequent_indent=" " * 5))


def new_lesson(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Number and name, such as 17_name.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help='What the lesson asks, such as "Which rank?".')],
) -> int:
    """Make a new lesson from the template.

    For maintainers: notebook, room, tests, syllabus row and baseline. The lesson passes the tests as it stands. Write yours over it, piece by piece.
    """
    from ..run.new_lesson import make

    print("Writing the lesson, and running it once for its outputs and its baseline …", file=sys.stderr)
    for path in make(name, question):
        print(path)
    return EXIT_OK


def readme() -> int:
    """Write the tables and the page that are made.

    For maintainers: in README and CONTRIBUTING what stands between their markers, and notebooks/symptoms.md whole.
    """
    from ..lessons.l14_bug_museum import page
    from ..run import readme as tables

    changed = [*tables.write(), *page.write()]
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK


def site(
    out: Annotated[
        Path, typer.Option("--out", parser=place, metavar="DIR", help="The folder that the site is written into.")
    ] = Path("course-report/site"),
) -> int:
    """Write the course as web pages.

    It needs no server and no network: the stored notebooks become pages, and the widgets answer from what is baked in.
    """
    from ..lessons import rooms
    from ..run.site.build import check_extra, check_place, stored, write_site

    check_extra()
    check_place(out)
    rooms()  # each registers its claims, and the widgets that the web gets
    index = write_site(stored(), out, progress=lambda line: print(line, file=sys.stderr))
    print(f"The site is written: open {shown(index)} in a browser.")
    return EXIT_OK
