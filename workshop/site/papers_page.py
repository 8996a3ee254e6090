"""Every claim of a paper that the course tried in miniature: the paper's own words, what was done here,
and what came of it."""

from __future__ import annotations

import html

from lora_tools import papers

from .claims_page import counted, verdict
from .finishing import as_table, link_to

_ABOUT = """# What the papers say, and what we saw of it

These are claims of papers on LoRA, each tried in miniature on the course's small base. The verdict is worked out from
what was recorded, so it changes with it. *Seen here* says that the miniature shows the same; *seen with a condition*
says next to it what it holds under; *not seen here* is a result, too. *This run cannot tell* means that what we did
could not have shown what is claimed, or could not have told it from something else. The last column says what may be
different here. None of them proves or refutes what was measured on a model 4 to 240 times the size.

Where learning rates are compared, or arms, each arm has a rate of its own: the best of a ladder whose steps are a
factor of 2, at seed 0, by the same held-out answers that its loss is then reported on. That flatters every arm a
little. The search stops at the first valley. P05 rests on recordings of 05_capacity, P06 and P12 of lessons 13 and
11, whose rates
were found in other ways or chosen once. A 95% interval is over three seeds; where one seed is all, it says so."""


def page() -> str:
    """The claims as MyST: a count of the verdicts, and a row for each."""
    every = papers.rows()
    head = ("the paper says", "what we did, and saw", "what may differ here")
    return "\n\n".join([_ABOUT, counted(row.verdict for row in every), as_table(head, map(_row, every), kind="ledger")])


def _row(row: papers.PaperClaim) -> tuple[str, str, str]:
    source = row.source
    where = link_to(source.url, f"{html.escape(source.authors)} {source.year}, <i>{html.escape(source.title)}</i>")
    says = (
        f"<b>{row.id}</b> {html.escape(row.claim)}<br>“{html.escape(row.says)}”<br>Its figure: "
        f"{html.escape(row.figure)}."
        f'<br><small class="ways">{where}, {html.escape(row.section)}. Read: {html.escape(source.read)}.</small>'
    )
    found = "<br>".join(html.escape(text) for text in (row.found, row.at_sizes) if text)
    return says, f"{html.escape(row.ours)}<br>{verdict(row.verdict)} {found}", html.escape(row.differs)
