"""What the site's search finds: terms of the glossary first, everyday words, and no code or tables of results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import glossary

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# What people type who do not know the course's words yet, and the pages that answer, the best first.
EVERYDAY = {
    "catastrophic forgetting": ("lessons/09_adapters", "lessons/14_bug_museum"),
    "overfitting": ("lessons/15_your_own", "lessons/03_train_lora"),
    "OOM": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "out of memory": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "CUDA out of memory": ("lessons/08_qlora_7b", "lessons/symptoms"),
    "target modules": ("lessons/05_rank_and_alpha", "lessons/04_peft"),
    "hyperparameters": ("lessons/05_rank_and_alpha",),
    "fine-tune": ("lessons/03_train_lora",),
    "gradient checkpointing": ("lessons/08_qlora_7b",),
    "multi-GPU": ("lessons/13_beyond_one_gpu",),
    "inference": ("lessons/16_many_adapters", "lessons/10_ship_it"),
    "dataset": ("lessons/15_your_own",),
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
    """The words by which a search finds a page, each with a place on it or "", and "main" where this page comes first."""
    if docname == "glossary":
        return [
            (words, term.anchor, "main")
            for term in glossary.terms()
            for words in dict.fromkeys((term.name, *term.spelled))
        ]
    return [(words, "", "main" if docname == pages[0] else "") for words, pages in EVERYDAY.items() if docname in pages]
