"""The rules of plain language, for the data and for scoring answers that a model has written.

A clause goes in; out comes what it means for the reader: "you", short sentences, everyday words, every number kept.
Rules can see the style and the numbers. Whether the meaning is the same, only a reader can tell.
"""

from __future__ import annotations

import re
from typing import Any

INSTRUCTION = "Say this in plain language: "

# Words that only contracts use, and the names that contracts give to the two sides.
LEGALESE = frozenset(
    """shall hereby herein hereof hereto hereunder hereinafter heretofore thereof therein thereto therefor therefrom
    thereon thereafter thereby thereupon whereof whereas wherein whereby whereupon forthwith notwithstanding pursuant
    aforesaid aforementioned foregoing undersigned henceforth upon subsequent prior commence commences commencement
    terminate terminates terminated termination expiration cessation remit remitted furnish furnished utilize utilized
    procure procured effected deem deemed incur incurred accrue accrues forfeit forfeited render rendered constitute
    bequeath covenants warrants liable liability indemnify indemnified indemnity entitled entitlement obligation
    remuneration remunerated reimburse reimbursed reimbursement disclose disclosed absent solely premises
    lessee lessor tenant landlord occupant purchaser licensee licensor insurer policyholder cardholder subscriber
    borrower renter hirer freelancer bathers""".split()  # noqa: SIM905
)
NUMBER = re.compile(
    r"\$?\d+(?:[.,:]\d+)*%?"
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|"
    r"thirty|forty|fifty|sixty|ninety)\b"
)
PARTY = re.compile(r"\b(?:[Tt]he|[Aa]n?|[Aa]ny|[Ee]ach|[Ee]very|[Yy]our|[Oo]ur) [A-Z][a-z]+")


def words(text: str) -> list[str]:
    """Return the lower-cased words of `text`, numbers not among them."""
    return re.findall(r"[a-z]+", text.lower())


def shared_stems(clause: str, answer: str) -> set[str]:
    """First four letters of the longer words that a clause and an answer share: what both are about."""
    stems = [{word[:4] for word in words(text) if len(word) > 3} for text in (clause, answer)]
    return (stems[0] & stems[1]) - {"will", "with", "that", "this", "have", "from", "your", "must", "when", "then"}


def faults(answer: str, example: dict[str, Any]) -> list[str]:
    """Return advice for each rule that an answer to the clause in `example` breaks, so [] for a good one."""
    clause = example["messages"][-2]["content"].removeprefix(INSTRUCTION)
    answer = answer.strip()
    sentences = re.split(r"(?<=[.!?])\s+", answer)
    longest, length = max(len(sentence.split()) for sentence in sentences), len(answer.split())
    asked, kept = (set(NUMBER.findall(text.lower())) for text in (clause, answer))
    stiff, party = sorted(LEGALESE & set(words(answer))), PARTY.search(answer)
    rules = {
        f"use everyday words for {', '.join(stiff)}": not stiff,
        f"write 'you', 'we' or small letters for {party and party[0]!r}": not party,
        "speak to the reader: say 'you' or 'your'": {"you", "your", "yours", "yourself"} & set(words(answer)),
        f"write 1 or 2 sentences, not {len(sentences)}": len(sentences) <= 2,
        "end with a full stop": answer.endswith("."),
        f"keep a sentence to 20 words, not {longest}": longest <= 20,
        f"write 8 words or more, not {length}": length >= 8,
        f"be shorter than the clause of {len(clause.split())} words": length < len(clause.split()),
        f"keep the numbers {', '.join(sorted(asked - kept))}": asked <= kept,
        f"leave out {', '.join(sorted(kept - asked))}, not in the clause": kept <= asked,
        "name what the clause is about": shared_stems(clause, answer),
        "use plain ASCII and no markup": answer.isascii() and not re.search(r"[][*_#`<>\n]", answer),
    }
    return [advice for advice, holds in rules.items() if not holds]


def looks_like(answer: str) -> bool:
    """One or two short sentences that speak to the reader: the form of an answer about a contract."""
    sentences = re.split(r"(?<=[.!?])\s+", answer.strip())
    short = len(sentences) <= 2 and all(len(sentence.split()) <= 20 for sentence in sentences)
    return short and bool({"you", "your", "yours", "yourself"} & set(words(answer)))
