"""What a check found, in numbers and sentences: for a terminal, as data, and as one HTML page.

With it goes a conversation as the model will see it, and what it learns of it marked.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from lora_lessons.outside import in_attribute, in_html, in_line, visible
from lora_lessons.tasks.conversations import IGNORED, chat_text, tokenized

from .layouts import ELSEWHERE
from .pairs import Compared
from .problems import FIRST_LINES, LINE, LOOK, NOTE, SEVERITIES, WRONG, Problem, in_lines
from .tokens import conversations_in

HEADINGS = {
    WRONG: "Wrong: these lines are not used",
    LOOK: "Look: probably a mistake",
    NOTE: "Note: good to know",
}
NOT_HERE = "Not used in this course, which learns answers to text: other trainers take these lines"
OF_OTHERS = "For other trainers, such as TRL's: nothing to change for this course"
# What is no fault of the file, and matters only where something else than this course trains on it.
FOR_OTHERS = (
    *("no_generation_marks", "pad_is_eos", "prompt_is_no_prefix"),
    *("sharegpt_roles", "system_beside", "tool_roles"),
)
UNDER = dict.fromkeys(ELSEWHERE, NOT_HERE) | dict.fromkeys(FOR_OTHERS, OF_OTHERS)
REJECTED = "With the rejected answer, which is to become less likely beside it:"
HIDDEN = "No line is shown as the model will see it: every line that can be used seems to hold personal data."


@dataclass(frozen=True)
class Lengths:
    """Tokens of a file's conversations: the middle one, the one that 95 of 100 do not exceed, the longest,
    all of them."""

    median: int
    most: int
    longest: int
    total: int


@dataclass(frozen=True)
class Rendered:
    """A line as the model will see it; of a preference the chosen answer's conversation, and the rejected answer's."""

    line: int
    spans: tuple[Span, ...]
    rejected: tuple[Span, ...] = ()


@dataclass(frozen=True)
class DataReport:
    """What was found in a training file: lines with something in them, how many are good, and every problem.

    `tokens` and `supervised`, the share of them that the model learns to write, are None where no tokenizer was given;
    so are the `answers` in the good lines, and how many of them are `learned`. `unit` is what their numbers count. Of
    preferences, `compared` says how often the chosen answer is the shorter or the longer one.
    """

    path: str
    lines: int
    good: int
    layouts: Mapping[str, int]
    problems: tuple[Problem, ...]
    tokens: Lengths | None = None
    supervised: float | None = None
    answers: int | None = None
    learned: int | None = None
    max_tokens: int | None = None
    compared: Compared | None = None
    example: Rendered | None = None
    unit: str = LINE

    @property
    def all_usable(self) -> bool:
        """Whether no line is lost."""
        return not any(problem.severity == WRONG for problem in self.problems)

    @property
    def leaks(self) -> bool:
        """Whether a question of the held-out file is learned."""
        return any(problem.code in ("leak", "near_leak") for problem in self.problems)

    @property
    def hidden(self) -> bool:
        """Whether a line could be shown, but every one seems to hold personal data."""
        return bool(self.tokens) and self.example is None

    def of(self, severity: str) -> tuple[Problem, ...]:
        """The problems of one severity."""
        return tuple(problem for problem in self.problems if problem.severity == severity)

    def as_data(self) -> dict[str, Any]:
        """All of it in lists, texts and numbers."""
        return asdict(self)


def lengths(given: array[int], taught: array[int]) -> tuple[Lengths | None, float | None]:
    """The lengths of conversations and the share that is supervised, from the tokens of each one's two parts."""
    totals = np.array(given, np.int64) + np.array(taught, np.int64)
    if not len(totals):
        return None, None
    middle, most = np.percentile(totals, [50, 95], method="inverted_cdf")
    total = int(totals.sum())
    return Lengths(int(middle), int(most), int(totals.max()), total), sum(taught) / total


def counts(report: DataReport) -> list[str]:
    """One or two sentences of numbers."""
    layouts = ", ".join(f"{count:,} as {name}" for name, count in report.layouts.items())
    lines = report.unit if report.lines == 1 else f"{report.unit}s"
    sentences = [f"{report.good:,} of {report.lines:,} {lines} can be used{f' ({layouts})' if layouts else ''}."]
    if others := sum(one.count for one in report.problems if one.code in ELSEWHERE):
        sentences[0] += f" This course leaves out {others:,} that other trainers take: see below."
    if report.tokens and report.supervised is not None:
        sizes = report.tokens
        what, learns = "line", f"The model learns to write {report.supervised:.0%} of them."
        if report.compared:
            what, learns = "conversation", f"{report.supervised:.0%} of them are answers, the part that is compared."
        sentences.append(
            f"Tokens in a {what}: median {sizes.median:,}, 95% have at most {sizes.most:,}, longest {sizes.longest:,}"
            f"{f' ({report.max_tokens:,} fit)' if report.max_tokens else ''}; {sizes.total:,} in all. {learns}"
        )
    if report.compared:
        sentences.append(f"A preference is two conversations; {report.compared}.")
    if report.answers and report.learned and report.answers > report.good:
        codes = {problem.code for problem in report.problems}
        answers = f"{report.answers:,} answers{' of weight 1' if 'weight_0' in codes else ''} in these lines"
        why = "only_last_answer says why" if "only_last_answer" in codes else "the last of each line"
        all_of_them = f"All {answers} are learned."
        sentences.append(
            all_of_them
            if report.learned == report.answers
            else f"Of the {answers} {report.learned:,} are learned: {why}."
        )
    return sentences


def place(problem: Problem, unit: str = LINE, most: int = FIRST_LINES) -> str:
    """Where a problem is: "line 3", or "4,120 lines: 3, 7, 9, 12, 40, …", with `most` of them (0: all)."""
    if not problem.lines:
        return "the whole file"
    numbers = in_lines(problem.lines, problem.count, unit, most)
    return numbers if problem.count == 1 else f"{problem.count:,} {numbers.replace('s', 's:', 1)}"


def sentence(problem: Problem, unit: str = LINE) -> str:
    """A problem's sentence as it stands alone: with a capital letter, and with its line where there are several."""
    text = visible(problem.sentence)
    if problem.count > 1 and problem.lines and not problem.names_lines:
        return f"In {unit} {problem.line}, {text}"
    return text[:1].upper() + text[1:]


def _under_headings(report: DataReport) -> Iterator[tuple[str, list[Problem]]]:
    for severity in SEVERITIES:
        for heading in (usual := HEADINGS[severity], NOT_HERE, OF_OTHERS):
            yield heading, [one for one in report.of(severity) if UNDER.get(one.code, usual) == heading]


def in_words(report: DataReport, colour: bool = False, most: int = FIRST_LINES) -> str:
    """The report for a terminal, with at most so many lines of a problem (0: all)."""
    parts = [f"{in_line(report.path)}: {counts(report)[0]}", *counts(report)[1:]]
    for heading, problems in _under_headings(report):
        if problems:
            parts += ["", heading]
            parts += [
                f"  {one.code} ({place(one, report.unit, most)})\n    {sentence(one, report.unit)}" for one in problems
            ]
    if report.hidden:
        parts += ["", HIDDEN]
    if report.example:
        how = "in colour and underlined" if colour else "in ⟦ ⟧"
        what = "the answer" if report.example.rejected else "what it learns to write"
        parts += [
            "",
            f"{report.unit.capitalize()} {report.example.line} as the model will see it; {what} is {how}:",
            "",
        ]
        parts += [for_terminal(report.example.spans, colour)]
        if report.example.rejected:
            parts += ["", REJECTED, "", for_terminal(report.example.rejected, colour)]
    return "\n".join(parts)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>
body{{font:16px/1.5 system-ui,sans-serif;color:#1b1f23;background:#fff;max-width:60rem;margin:2rem auto;
  padding:0 1rem;overflow-wrap:break-word}}
h1{{font-size:1.7rem}} h2{{border-top:1px solid #d0d4d8;padding-top:1rem;margin-top:2rem;font-size:1.25rem}}
li{{margin:.5rem 0}} code,pre{{font:.9em/1.5 ui-monospace,Consolas,monospace}} .place{{color:#4a5056}}
pre{{background:#f5f6f7;padding:.8rem;white-space:pre-wrap;overflow-wrap:anywhere}} {style}
</style></head><body><main>
<h1>{heading}</h1>
{body}
</main></body></html>
"""


def as_page(report: DataReport) -> str:
    """`report` as HTML. What is learned is marked by brackets and a line under it as well as by colour."""
    body = [f"<p>{in_html(line)}</p>" for line in counts(report)]
    for heading, problems in _under_headings(report):
        if problems:
            items = "\n".join(
                f'<li><code>{one.code}</code> <span class="place">({in_html(place(one, report.unit))})</span><br>'
                f"{in_html(sentence(one, report.unit))}</li>"
                for one in problems
            )
            body += [f"<h2>{in_html(heading)}</h2>", f"<ul>{items}</ul>"]
    if report.hidden:
        body.append(f"<p>{HIDDEN}</p>")
    if report.example:
        body += [
            f"<h2>{report.unit.capitalize()} {report.example.line} as the model will see it</h2>",
            (
                f"<p>{'The answer' if report.example.rejected else 'What the model learns to write'} stands "
                f"marked in {OPEN} {CLOSE}.</p>"
            ),
            for_page(report.example.spans),
        ]
        if report.example.rejected:
            body += [f"<p>{REJECTED}</p>", for_page(report.example.rejected)]
    name = f"{report.path}, checked"
    return _PAGE.format(title=in_attribute(name), heading=in_html(name), style=STYLE, body="\n".join(body))


OPEN, CLOSE = "⟦", "⟧"
# bold, underlined, green; and back
COLOUR, PLAIN = "\x1b[1;4;32m", "\x1b[0m"
STYLE = "mark{background:#d7f0e4;color:#00402c;font-weight:600;text-decoration:underline}"


@dataclass(frozen=True)
class Span:
    """A run of tokens: its text, whether the model learns to write it, and how many tokens it is."""

    text: str
    taught: bool
    tokens: int


def rendered(tokenizer: Any, example: dict[str, Any], *, last_only: bool = False) -> tuple[Span, ...]:
    """The tokens that `tasks.encode` makes of a conversation, as text again, parted where supervision begins and ends.

    Raises ValueError as `tasks.encode` does.
    """
    encoded = next(tokenized(tokenizer, [chat_text(tokenizer, example, last_only=last_only)]))
    ids, labels = encoded.input_ids.tolist(), encoded.labels.tolist()
    spans, at, written = [], 0, ""
    for taught, run in groupby(label != IGNORED for label in labels):
        count = len(list(run))
        at += count
        # decoded from the start, since some tokenizers drop the space that a text begins with
        text = tokenizer.decode(ids[:at], skip_special_tokens=False)
        spans.append(Span(text[len(written) :], taught, count))
        written = text
    return tuple(spans)


def as_seen(tokenizer: Any, line: int, example: dict[str, Any], *, last_only: bool = False) -> Rendered:
    """A line as the model will see it, with what it learns; of a preference, both conversations."""
    spans, *rejected = (rendered(tokenizer, one, last_only=last_only) for one in conversations_in(example))
    return Rendered(line, spans, *rejected)


def for_terminal(spans: tuple[Span, ...], colour: bool) -> str:
    """The text, with what is learned in colour and underlined, or without colour in brackets."""
    before, after = (COLOUR, PLAIN) if colour else (OPEN, CLOSE)
    return "".join(f"{before}{visible(s.text)}{after}" if s.taught else visible(s.text) for s in spans)


def for_page(spans: tuple[Span, ...]) -> str:
    """The text as HTML: what is learned is marked, underlined and in brackets, so that no one needs the colour."""
    parts = []
    for span in spans:
        text = in_html(span.text)
        parts.append(
            f'<mark title="{span.tokens} tokens that the model learns to write">{OPEN}{text}{CLOSE}</mark>'
            if span.taught
            else text
        )
    return f"<pre>{''.join(parts)}</pre>"
