"""A blind comparison: two answers to one question side by side, and nobody says which is whose until all are judged.

Which side the adapter is on is drawn by seed for each question, and stays in Python: the page does not know it. What
was judged is kept with the learner's progress, under the answers themselves, so that it survives a restart.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anywidget
import traitlets

from ..evaluation import interval
from ..outside import in_html
from . import learner
from .page_half import page_half

ADAPTER, BASE, SAME, OPEN = "a", "b", "=", "."


class Pair(NamedTuple):
    """One question, and what was answered without the adapter and with it."""

    question: str
    base: str
    adapter: str


class Tally(NamedTuple):
    """How a blind comparison stands: answers of the adapter preferred, of the base, neither, and not judged yet."""

    adapter: int
    base: int
    same: int
    open: int

    @property
    def decided(self) -> int:
        return self.adapter + self.base


class BlindJudge(anywidget.AnyWidget):
    """Two answers and three buttons: left, right, no difference; by mouse, or by ←, → and ↓.
    Backspace takes one back."""

    _esm = page_half(Path(__file__).with_name("blind_judge.js"))
    _css = page_half(Path(__file__).with_name("blind_judge.css"))
    # [{"question": …, "left": …, "right": …}]: no word of which is whose
    pairs: Any = traitlets.List().tag(sync=True)
    # "l", "r", "=" or "." for each pair, as the page shows them
    choices = traitlets.Unicode().tag(sync=True)
    # {"number": 1, 2 …, "pair": its number, "choice": "l", "r", "=" or "."}: what the page asks for
    asked = traitlets.Dict().tag(sync=True)
    # the number of the last request that reached Python
    heard = traitlets.Int().tag(sync=True)
    # said once all are judged; the verdict is not shown before
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, pairs: Sequence[Pair], seed: int = 0) -> None:
        self._pairs = [pair for pair in pairs if pair.base != pair.adapter]
        self._equal, self._key = len(pairs) - len(self._pairs), judged_key(pairs)
        self._adapter_left = sides(self._pairs, seed)
        shown = [
            {
                "question": p.question,
                "left": p.adapter if left else p.base,
                "right": p.base if left else p.adapter,
            }
            for p, left in zip(self._pairs, self._adapter_left, strict=True)
        ]
        super().__init__(pairs=shown)
        kept = learner.kept_judgement(self._key)
        self._judged = list(kept if len(kept) == len(shown) else OPEN * len(shown))
        self._show()
        self.observe(self._hear, "asked")

    def _hear(self, _: Any = None) -> None:
        self.heard = self.asked.get("number", 0)
        self.judge(self.asked.get("pair", -1), self.asked.get("choice", OPEN))

    def judge(self, pair: int, choice: str) -> None:
        """Note "l", "r", "=" (no difference) or "." (taken back) for a pair, and keep it;
        anything else is left alone."""
        if not isinstance(pair, int) or not 0 <= pair < len(self._pairs) or choice not in ("l", "r", SAME, OPEN):
            return
        side = {"l": self._adapter_left[pair], "r": not self._adapter_left[pair]}
        self._judged[pair] = choice if choice in (SAME, OPEN) else ADAPTER if side[choice] else BASE
        learner.keep_judgement(self._key, "".join(self._judged))
        self._show()

    def _show(self) -> None:
        letters = {(ADAPTER, True): "l", (ADAPTER, False): "r", (BASE, True): "r", (BASE, False): "l"}
        marks = zip(self._judged, self._adapter_left, strict=True)
        self.choices = "".join(letters.get((one, left), one) for one, left in marks)
        self.said = in_words(self.tally()) if OPEN not in self._judged else ""

    def tally(self) -> Tally:
        """How it stands; pairs that are the same to the letter are not asked about, and count as no difference."""
        count = self._judged.count
        return Tally(count(ADAPTER), count(BASE), count(SAME) + self._equal, count(OPEN))

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = still(self.pairs)
        return bundle


def judged_key(pairs: Sequence[Pair]) -> str:
    """A name for these answers: train anew, and what was judged of other answers is not counted."""
    text = "\0".join(part for pair in pairs for part in pair)
    return f"judged.{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


def sides(pairs: Sequence[Pair], seed: int = 0) -> list[bool]:
    """For each pair, whether the adapter's answer is on the left: half of them,
    in an order drawn by seed and answers."""
    left = [n % 2 == 0 for n in range(len(pairs))]
    random.Random(f"{seed} {judged_key(pairs)}").shuffle(left)
    return left


def by_chance(wins: int, of: int) -> float:
    """How often a coin, thrown `of` times, falls as unevenly as `wins` to the rest, or more:
    the two-sided sign test."""
    most = max(wins, of - wins)
    tail = sum(math.comb(of, k) for k in range(most, of + 1)) / 2**of
    return min(1.0, 2 * tail)


def in_words(tally: Tally) -> str:
    """The tally, its 95% interval (Wilson), and one plain sentence on what it can tell and what not."""
    if not tally.decided:
        neither = f"In all {tally.same} you saw no difference." if tally.same and not tally.open else ""
        return neither or "Nothing has been judged yet."
    share, of = tally.adapter / tally.decided, tally.decided
    low, high = interval(share, of)
    chance = by_chance(tally.adapter, of)
    rest = f", {tally.same} without a difference" * bool(tally.same) + f", {tally.open} still open" * bool(tally.open)
    counted = f"You preferred the adapter's answer in {tally.adapter} of {of} decided pairs{rest}: "
    counted += f"{share:.0%}, and the 95% interval goes from {low:.0%} to {high:.0%}. "
    if chance < 0.05:
        better = "adapter's" if share > 0.5 else "base's"
        return (
            f"{counted}A coin would fall as unevenly in {chance:.1%} of such rounds, so you do prefer the {better} "
            "answers: you, to these questions. Another judge, or other questions, may see it otherwise."
        )
    if (wins := enough(of)) is None:
        can = "So few pairs cannot tell, whatever you answer: judge at least six that differ."
    else:
        can = f"With {of} decided pairs, only {wins} or more on one side would have told: take more questions."
    return f"{counted}A coin would fall as unevenly in {chance:.0%} of such rounds, so this does not tell. {can}"


def enough(of: int) -> int | None:
    """How many of `of` decided pairs must fall to one side before a coin would do that in less than 5% of rounds."""
    return next((wins for wins in range(of // 2 + 1, of + 1) if by_chance(wins, of) < 0.05), None)


def still(pairs: Sequence[dict[str, str]]) -> str:
    """The first question and its two answers as HTML, for a page without a kernel; which is whose is not said."""
    if not pairs:
        return "<p><i>The two answered alike to the letter, so there is nothing to judge.</i></p>"
    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
    one = {name: in_html(text) for name, text in pairs[0].items()}
    table = f"<table><tr>{cell.format(one['left'])}{cell.format(one['right'])}</tr></table>"
    return (
        f"<p><b>{one['question']}</b></p>{table}<p><i>A still: the first of {len(pairs)} questions, the answers of the "
        "base and of the adapter side by side, in an order that is not said. "
        "Run this lesson's cells to judge them.</i></p>"
    )
