"""The page of the papers' claims: a row each, with the paper's own words, their source,
and a verdict in a sign and a word."""

import html
import re

from lora_tools import papers
from workshop.site import claims_page, papers_page


def test_every_claim_of_a_paper_has_one_row_with_its_words_its_source_and_its_verdict():
    page = papers_page.page()
    rows = re.findall(r"<tr.*?</tr>", page)[1:]
    for row, shown in zip(papers.rows(), rows, strict=True):
        assert f"<b>{row.id}</b>" in shown and html.escape(row.says) in shown and f'href="{row.source.url}"' in shown
        assert claims_page.verdict(row.verdict) in shown and html.escape(row.differs) in shown
    assert f"{len(rows)} verdicts" in page


def test_a_papers_verdict_has_a_sign_of_its_own():
    signs = {re.search(r'aria-hidden="true">(.)<', claims_page.verdict(one))[1] for one in papers.VERDICTS}
    assert len(signs) == len(papers.VERDICTS)
