"""The glossary: its page, the first use of a term as a link whose hint explains it, and what the search finds."""

from __future__ import annotations

import html
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from lora_lessons.course.lesson import number_of, place_of
from lora_lessons.paths import course_root

from .finishing import attribute
from .number_pages import up

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from sphinx.application import Sphinx


# What stands for all that is no plain word.
_NOT_PLAIN = "\0"

# So that prose stays calm: links on a page, and in a cell.
_ON_A_PAGE, _IN_A_CELL = 20, 3


class Term(NamedTuple):
    """A word of the course, what it means, how prose spells it, and the lesson that explains it.

    `other` are phrases in which the word means something else, and `elsewhere` the lessons in which it mostly does.
    """

    name: str
    means: str
    spelled: tuple[str, ...]
    lesson: str
    other: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        return "term-" + re.sub(r"[^\w+]+", "-", self.name)


def terms() -> list[Term]:
    """The glossary in data/glossary.toml, in its order. Raises ValueError where the file is damaged."""
    file = course_root() / "data" / "glossary.toml"
    try:
        return _parsed(file.read_text(encoding="utf-8"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"data/{file.name} is damaged ({error}): restore it from git.") from error


@lru_cache(maxsize=1)
def _parsed(text: str) -> list[Term]:
    """The terms in `text`, parsed once, for every cell of every page asks for them."""
    return [
        Term(
            name,
            one["means"],
            tuple(one.get("spelled", [name])),
            one["lesson"],
            tuple(one.get("other", ())),
            tuple(one.get("elsewhere", ())),
        )
        for name, one in tomllib.loads(text).items()
    ]


def page() -> str:
    """The glossary as MyST: a list of definitions, each with a link to the lesson that explains the term."""
    entries = "\n".join(map(_entry, terms()))
    return f'# Glossary\n\n{_ABOUT}\n\n<dl class="glossary">\n{entries}\n</dl>'


_ABOUT = "The words of the course, in two sentences each. The lesson named beside a term shows it at work."


def _entry(term: Term) -> str:
    lesson = f'<a href="lessons/{place_of(term.lesson)}.html">{_lesson(term)}</a>'
    return (
        f'<div id="{term.anchor}"><dt>{html.escape(term.name)}</dt>\n<dd>{html.escape(term.means)} {lesson}</dd></div>'
    )


def _lesson(term: Term) -> str:
    return f"{'Side trip of lesson' if '/' in place_of(term.lesson) else 'Lesson'} {number_of(term.lesson)}"


def hinted(markdown: str, seen: set[str], place: str) -> str:
    """A markdown cell's source, the first use of a term on the page made a link to the glossary with a hint.

    `seen` are the terms linked on the page so far, and those linked here are added. Code, formulas, headings, tables,
    links, bold words and tags stay as they are; a lesson does not link the terms that it explains itself, nor a cell
    those that it sets in bold, nor is a word linked where it means something else.
    """
    markdown = re.sub(r"\r\n?", "\n", markdown)
    here = place.rpartition("/")[2]
    left = {
        term.name: term
        for term in terms()
        if term.name not in seen and here not in (term.lesson, *term.elsewhere) and not _defined(term, markdown)
    }
    lines = markdown.split("\n")
    first: dict[str, Use] = {}
    for use in sorted(_uses(markdown, left), key=lambda use: (use.line, use.begin, -use.end)):
        if not any(use.line == other.line and use.begin < other.end for other in first.values()):
            first.setdefault(use.term.name, use)
    room = max(0, min(_IN_A_CELL, _ON_A_PAGE - len(seen)))
    for use in list(first.values())[:room][::-1]:
        line = lines[use.line]
        lines[use.line] = f"{line[: use.begin]}{_link(use.term, line[use.begin : use.end], place)}{line[use.end :]}"
        seen.add(use.term.name)
    return "\n".join(lines)


def _link(term: Term, words: str, place: str) -> str:
    href = f"{up(place)}glossary.html#{term.anchor}"
    return f'<a class="term" href="{href}" data-hint="{attribute(term.means)}">{words}</a>'


@cache
def _spelling(spelled: tuple[str, ...]) -> re.Pattern[str]:
    """Where prose uses a term. A spelling in small letters may begin a sentence, too."""
    longest_first = sorted(spelled, key=len, reverse=True)
    either = "|".join(f"[{one[0]}{one[0].upper()}]{re.escape(one[1:])}" for one in longest_first)
    return re.compile(rf"(?<![\w./-])(?:{either})(?![\w/+-]|\.\w)")


@cache
def _phrase(phrase: str) -> re.Pattern[str]:
    """Where prose has a phrase, which may go on in the next line or have a word of it emphasised."""
    between = rf"[\s{_NOT_PLAIN}]+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){between}(?!\w)", re.I)


def _other_meanings(term: Term, words: str) -> list[range]:
    """The stretches of a paragraph in which the word of a term means something else."""
    return [range(*match.span()) for phrase in term.other for match in _phrase(phrase).finditer(words)]


def _defined(term: Term, markdown: str) -> bool:
    """Whether the cell sets the term in bold, as a lesson does where it explains one."""
    return any(_spelling(term.spelled).fullmatch(bold) for bold in re.findall(r"\*\*([^*]+?)[.,:]?\*\*", markdown))


class Use(NamedTuple):
    """Where a text uses a term: the line, from 0, and where the word begins and ends in it."""

    term: Term
    line: int
    begin: int
    end: int


def _uses(markdown: str, terms: Mapping[str, Term]) -> Iterator[Use]:
    lines = markdown.split("\n")
    for token in _paragraphs(markdown):
        first = token.map[0] if token.map else 0
        plain = _words_alone(token)
        written = token.content.split("\n")
        for term in terms.values():
            others = _other_meanings(term, plain)
            for match in _spelling(term.spelled).finditer(plain):
                number = plain.count("\n", 0, match.start())
                before = lines[first + number].find(written[number])  # a list's mark or a quotation's
                if before >= 0 and not any(match.start() in other for other in others):
                    column = match.start() - (plain.rfind("\n", 0, match.start()) + 1) + before
                    yield Use(term, first + number, column, column + len(match[0]))


def _paragraphs(markdown: str) -> Iterator[Token]:
    """The contents of paragraphs, those in lists and quotations included, but not headings and tables."""
    tokens = _parser().parse(markdown)
    for before, token in zip(tokens, tokens[1:], strict=False):
        if token.type == "inline" and before.type == "paragraph_open":
            yield token


@cache
def _parser() -> MarkdownIt:
    """Markdown as MyST reads it in the lessons: CommonMark with tables and formulas."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    return MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)


def _words_alone(paragraph: Token) -> str:
    """A paragraph's source, as long as it is, with _NOT_PLAIN in place of all that is no plain word."""
    source, at, inside = paragraph.content, 0, 0
    plain = [mark if mark == "\n" else _NOT_PLAIN for mark in source]
    for token in paragraph.children or []:
        begin = source.find(token.content, at)
        if begin < 0:
            continue  # written with an escape or an entity
        if token.content:
            at = begin + len(token.content)
        if token.type == "text" and not inside:
            plain[begin:at] = token.content
        elif token.type == "html_inline":
            inside += bool(re.match(r"<a\b", token.content)) - token.content.startswith("</a")
        elif token.type in ("link_open", "strong_open"):
            inside += 1
        elif token.type in ("link_close", "strong_close"):
            inside -= 1
        if token.type in ("link_close", "image"):
            at = _after_address(source, at)
    return "".join(plain)


def _after_address(source: str, at: int) -> int:
    """Where a link's or a picture's address ends, if one begins at `at`."""
    if not source.startswith("](", at):
        return at
    return source.find(")", _parser().helpers.parseLinkDestination(source, at + 2, len(source)).pos) + 1


# What people type who do not know the course's words yet, and the pages that answer, the best first.
EVERYDAY = {
    "catastrophic forgetting": ("lessons/09_adapters", "lessons/12_bug_museum"),
    "overfitting": ("lessons/11_your_own", "lessons/03_train_lora"),
    "OOM": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "out of memory": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "CUDA out of memory": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "target modules": ("lessons/05_rank_and_alpha", "lessons/04_peft"),
    "hyperparameters": ("lessons/05_rank_and_alpha",),
    "fine-tune": ("lessons/03_train_lora",),
    "gradient checkpointing": ("lessons/08_qlora_7b",),
    "multi-GPU": ("lessons/deeper/08_many_cards",),
    "inference": ("lessons/deeper/09_many_adapters", "lessons/10_ship_it"),
    "dataset": ("lessons/11_your_own",),
    "laptop": ("lessons/00_start_here", "lessons/deeper/08_faster"),
    "memory": ("lessons/08_qlora_7b", "lessons/07_qlora"),
    "license": ("index",),
    "licence": ("index",),
}
_RESULTS = re.compile(r'class="(?:records|try-it)\b|[□■▣]')  # tables of records, maps of progress, ways to a kernel


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx what to leave out of its index, and what to enter in it."""
    app.connect("doctree-resolved", _for_the_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _for_the_index(app: Sphinx, doctree: Any, docname: str) -> None:
    """Give a page its entries, and mark what the index skips: code, and what was recorded. Prose stays."""
    from docutils import nodes
    from sphinx.addnodes import index

    for node in doctree.findall(lambda node: isinstance(node, (nodes.literal_block, nodes.raw))):
        if isinstance(node, nodes.literal_block) or _RESULTS.search(node.astext()):
            node["classes"].append("no-search")
    doctree.insert(0, index(entries=[("single", *entry, None) for entry in entries(docname)]))


def entries(docname: str) -> list[tuple[str, str, str]]:
    """The words by which a search finds a page, each with a place on it or "",
    and "main" where this page comes first."""
    if docname == "glossary":
        return [(words, term.anchor, "main") for term in terms() for words in dict.fromkeys((term.name, *term.spelled))]
    return [(words, "", "main" if docname == pages[0] else "") for words, pages in EVERYDAY.items() if docname in pages]
