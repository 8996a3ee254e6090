"""Formulas as MathML, which a browser sets by itself: no script, no fonts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def mathml(tex: str, display: str = "inline") -> str:
    """`tex` as MathML. Raises ValueError naming the formula where it cannot be set."""
    from latex2mathml.converter import convert

    try:
        made = convert(tex.strip(), display=display)
    except Exception as error:  # the library has a class of its own for each mistake
        raise ValueError(f"the formula {tex.strip()!r} cannot be set as MathML ({type(error).__name__}).") from error
    if "\\" in made:
        raise ValueError(f"the formula {tex.strip()!r} has a command that MathML is not made of: say it otherwise.")
    return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx to set formulas so."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    _put(translator, node, "inline")


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append("<div class='formula'>")
    _put(translator, node, "block", "</div>\n")


def _put(translator: Any, node: Any, display: str, close: str = "") -> None:
    from docutils.nodes import SkipNode

    try:
        made = mathml(node.astext(), display)
    except ValueError as error:
        raise ValueError(f"{translator.builder.current_docname}: {error}") from error
    translator.body.append(made + close)
    raise SkipNode
