"""The second ledger: the words of data/papers.toml beside the verdicts that follow from the recordings."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lora_lessons.experiments import recordings
from lora_lessons.experiments.sizes.cells import SIZES
from lora_lessons.models import EMBEDDED
from lora_lessons.paths import course_root

from .arms import REACHES
from .evidence import Evidence, NotRecorded, Stopped
from .judging import CANNOT, CONDITION, JUDGES, NEED_FULL, NOT_SEEN, OPEN, SEEN
from .recording import common, name_of

# What was recorded by others, and is read here.
BESIDE = ("lesson_05_capacity", "lesson_13_rewards", "lesson_11_ordinary_answers", REACHES)
AT_SIZES = ("P01", "P03", "P07", "P10")  # that larger bases are asked


class Paper(NamedTuple):
    """Where a paper's sentence stands, and which text of it was read."""

    title: str
    authors: str
    year: int
    url: str
    read: str


class PaperClaim(NamedTuple):
    """One claim of a paper: its own words, our miniature, and what came of it."""

    id: str
    claim: str
    source: Paper
    section: str
    says: str
    figure: str
    ours: str
    verdict: str
    found: str  # what was measured; "" where it is not recorded
    at_sizes: str  # the same on larger bases, or that they were not asked; "" where none is recorded
    differs: str


def rows() -> list[PaperClaim]:
    """Every claim in order. Raises ValueError where a recording or the ledger's words are damaged,
    KeyError as `_judged`."""
    table, recorded = _table(), _recordings()
    evidence = Evidence(recorded)
    sources = {name: Paper(**about) for name, about in table.pop("sources", {}).items()}
    made = []
    for id, words in table.items():
        verdict, found = _judged(id, words["found"], evidence)
        sizes = list(_at_sizes(id, words["found"], recorded))
        others = " ".join(text for _, text in sizes)
        if verdict in (SEEN, CONDITION) and (denied := [title for title, _ in sizes if title]):
            verdict, found = CONDITION, f"At {SIZES[EMBEDDED].title}, not at {' and '.join(denied)}. {found}"
        said = {name: text for name, text in words.items() if name not in ("source", "found")}
        source = sources[words["source"]]
        made.append(PaperClaim(id=id, source=source, verdict=verdict, found=found, at_sizes=others, **said))
    return made


def faults() -> list[str]:
    """What in the ledger its recordings do not bear out, a sentence each: [] where all is well."""
    if not (table := _table()):
        return []
    found = [
        f"{id} has words in data/papers.toml, or a judge, and not both." for id in table.keys() ^ {"sources", *JUDGES}
    ]
    found += [
        f"{name_of(size)} was recorded under other settings than today's: record it anew."
        for size in SIZES.values()
        if (kept := recordings.recorded_if_any(name_of(size))) and not common(size).items() <= kept["settings"].items()
    ]
    try:
        rows()
    except (KeyError, TypeError, ValueError) as error:
        found.append(f"The papers' ledger cannot be worked out: {error}")
    return found


def _table() -> dict[str, Any]:
    """The words; none where a course has no such ledger."""
    file = course_root() / "data" / "papers.toml"
    if not file.exists():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"data/{file.name} is not valid TOML ({error}): restore it from git.") from error


def _recordings() -> dict[str, Mapping[str, Any]]:
    names = [*map(name_of, SIZES.values()), *BESIDE]
    return {name: found for name in names if (found := recordings.recorded_if_any(name))}


def _judged(id: str, sentence: str, evidence: Evidence) -> tuple[str, str]:
    """The verdict and its sentence, what it holds under first; OPEN while something lacks, CANNOT where a run stopped.

    Raises KeyError where the sentence names what is not measured.
    """
    try:
        verdict, values = JUDGES[id](evidence)
    except NotRecorded:
        return OPEN, ""
    except Stopped as why:
        return CANNOT, str(why)
    return verdict, f"{values.pop('condition', '')} {sentence.format(**values)}".strip()


def _at_sizes(id: str, sentence: str, recorded: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    # what came of a claim on each larger base, behind the base's title where it was not seen there
    larger = [size for size in SIZES.values() if size.name != EMBEDDED and name_of(size) in recorded]
    if larger and id not in AT_SIZES:
        yield "", f"Not asked at {' and '.join(size.title for size in larger)}."
        return
    for size in larger:
        if id in NEED_FULL and size.full is None:
            yield (
                "",
                f"At {size.title}: {CANNOT}; full fine-tuning takes {size.why_not_full.removeprefix('not here: ')}.",
            )
            continue
        verdict, found = _judged(id, sentence, Evidence(recorded, name_of(size)))
        yield size.title * (verdict == NOT_SEEN), f"At {size.title}, one seed: {verdict}. {found}".strip()
