"""Formulas as MathML, which a browser sets by itself: no script, no fonts."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


# Signs that the notebooks write as they are, and the commands that give them the spacing of an operator.
_OPERATORS = {"−": "-", "·": r"\cdot ", "×": r"\times ", "≠": r"\neq ", "≈": r"\approx ", "≤": r"\leq ", "≥": r"\geq "}
_BARS = re.compile(r"<mo(?: [^>]*)?>(&#x0007C;|&#x02016;|‖|\|)</mo>")
_MATRIX = re.compile(r"<mo>&#x00028;</mo><mtable>(.*?)</mtable><mo>&#x00029;</mo>")


def mathml(tex: str, display: str = "inline") -> str:
    """`tex` as MathML. Raises ValueError naming the formula where it cannot be set."""
    from latex2mathml.converter import convert

    tex = tex.strip()
    if len(re.findall(r"(?<!\\)\{", tex)) != len(re.findall(r"(?<!\\)\}", tex)):
        raise ValueError(f"the formula {tex!r} cannot be set: its braces do not match.")
    try:
        made: str = convert("".join(_OPERATORS.get(sign, sign) for sign in tex), display=display)
    except Exception as error:  # the library has a class of its own for each mistake
        raise ValueError(f"the formula {tex!r} cannot be set as MathML ({type(error).__name__}).") from error
    if "\\" in made:
        raise ValueError(f"the formula {tex!r} has a command that MathML is not made of: say it otherwise.")
    made = made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").replace("negativethinmathspace", "-0.167em")
    made = _BARS.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', made)
    # few phones have a font whose parentheses grow: the style sheet draws them
    return _MATRIX.sub(r'<mtable class="matrix">\1</mtable>', made)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx to set formulas so."""
    inline = partial(_put, display="inline")
    block = partial(_put, display="block", before="<div class='formula'>", after="</div>\n")
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _put(translator: Any, node: Any, display: str, before: str = "", after: str = "") -> None:
    from docutils.nodes import SkipNode

    try:
        translator.body.append(before + mathml(node.astext(), display) + after)
    except ValueError as error:
        raise ValueError(f"{translator.builder.current_docname}: {error}") from error
    raise SkipNode
