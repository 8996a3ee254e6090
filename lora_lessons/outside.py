"""Text from outside, shown as the text that it is: on a terminal, in HTML, in Markdown, in a picture, in JSON.

A topic, a name or an answer is data. Nothing in it may steer a terminal, become a tag, a link or a formula, or end what
stands around it.
"""

from __future__ import annotations

import codecs
import html
import json
import math
import re
from typing import Any

# What nobody sees and what yet does something: C0 and C1 but for tab and line feed, marks of direction, what has no
# width, other separators of lines, tags, halves of a character. Before a line feed, a carriage return does nothing.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]|\r(?!\n)"
    # these two join letters of Persian and Hindi, and the parts of an emoji: between such they are spelling
    "|(?<![^\x00-\xa0\u200b-\u200f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\xa0\u200b-\u200f])"
)

# MathJax, which JupyterLab runs over what is shown, reads no formula across the edge of an element.
_FORMULA = {sign: f"<span>&#{ord(sign)};</span>" for sign in "$\\"}

# What Markdown would read as more than itself: marks, addresses that become links, and what a block can begin with.
_MARKS = re.compile(
    r"[&<>*`~$\[\]|\\@]|:(?=//)|(?<=[wW]{3})\."
    # a heading's closing marks
    r"|(?<=\s)#+"
    # within a word an underscore is one
    r"|(?<![^\W_])_+|_+(?![^\W_])"
    r"|\A[-+=#%:\s]|\A\d+[.)](?=\s|\Z)|\r?\n"
)


def visible(text: str) -> str:
    r"""`text` with each unseen character as JSON would escape it, such as \u001b: JSON that is printed stays JSON."""
    return _UNSEEN.sub(lambda unseen: _escaped(unseen[0]), text)


def in_line(text: str) -> str:
    r"""`text` within one line, its ends of lines shown as \n: what stands behind them would look like words of ours."""
    return visible(text).replace("\r", r"\r").replace("\n", r"\n")


def in_json(answer: Any) -> str:
    """Plain data as a JSON document. JSON has no NaN and no infinity: they become null."""
    return json.dumps(_finite(answer), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_attribute(text: str) -> str:
    """`text` between quotation marks in a tag, or in a <title>: where no other element can stand."""
    return html.escape(visible(text))


def in_html(text: str) -> str:
    """`text` between tags, also in JupyterLab, which looks there for formulas."""
    return re.sub(r"[$\\]", lambda sign: _FORMULA[sign[0]], in_attribute(text))


def read_back(shown: str) -> str:
    """The text that `in_html` made `shown` of."""
    return html.unescape(re.sub("</?span>", "", shown))


def in_markdown(text: str) -> str:
    """`text` in a line of Markdown: a paragraph, a cell of a table, an item, between the stars of an emphasis;
    and in HTML.

    A new line becomes <br>. In a code span Markdown would leave that alone: there, `in_code`.
    """
    return _MARKS.sub(_entities, visible(text))


def in_code(text: str) -> str:
    """`text` as one code span of Markdown, its lines joined; not in a table, whose cells a | ends even there."""
    line = " ".join(visible(text).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def in_picture(text: str) -> str:
    r"""`text` for matplotlib, which would set what stands between two $ as a formula, or raise."""
    return visible(text).replace("$", r"\$")


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


# An encoding's way with characters that it does not have.
AS_JSON = "as_json"
codecs.register_error(
    AS_JSON,
    lambda error: ("".join(map(_escaped, error.object[error.start : error.end])), error.end),  # type: ignore[attr-defined]
)


def _entities(mark: re.Match[str]) -> str:
    if mark.start() and mark[0].endswith("\n"):
        return "<br>"
    known = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | _FORMULA
    return "".join(known.get(sign, f"&#{ord(sign)};") for sign in mark[0])
