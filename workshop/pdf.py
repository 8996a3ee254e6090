"""The lessons on paper: the site's pages, one behind the other, printed by Chromium into one PDF."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from posixpath import dirname, join, normpath

from lora_lessons.files import read_text, scratch, whole_file

from .site.build import stored, write_site
from .site.lessons import FOLDER

_ARTICLE = re.compile(r'<article role="main".*?</article>', re.S)
_LINK = re.compile(r'\b(src|href)="(?![a-z]+:|#)([^"]+)"')
# Each notebook begins a page; a picture is no wider or taller than one; what leads to the web says where.
_PAPER = """<style>
article { break-before: page; }
img, svg { max-width: 100%; max-height: 22cm; height: auto; }
article .cell_output a.image-reference { overflow: visible; }
.cell_input, pre { break-inside: avoid; }
p a[href^=http]::after, li a[href^=http]::after, td a[href^=http]::after {
  content: " <" attr(href) ">"; font-size: 80%; overflow-wrap: anywhere;
}
a:has(img)::after { content: none !important; }
</style>"""
_FOOT = '<p style="width: 100%; text-align: center; font-size: 9px"><span class="pageNumber"></span></p>'


def paper(site: Path, places: list[str]) -> str:
    """One page of all the notebooks at `places`, in that order; it stands in the folder `site` itself."""
    pages = {place: read_text(site / FOLDER / f"{place}.html") for place in places}
    head = re.sub(r"<script\b.*?</script>", "", pages[places[0]].partition("<body")[0], flags=re.S)
    body = "\n".join(_here(_ARTICLE.findall(text)[0], place) for place, text in pages.items())
    return f"{_here(head, places[0])}{_PAPER}<body>{body}</body></html>".replace(' loading="lazy"', "")


def _here(text: str, place: str) -> str:
    folder = dirname(f"{FOLDER}/{place}")
    return _LINK.sub(lambda link: f'{link[1]}="{normpath(join(folder, link[2]))}"', text)


def make(out: Path) -> Path:
    """Write the PDF `out`. Playwright's own Chromium prints it, or the one that is named or installed."""
    from playwright.sync_api import sync_playwright

    named = os.environ.get("LORA_LESSONS_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with scratch("pdf") as work, sync_playwright() as playwright, whole_file(out) as temporary:
        notebooks = stored()
        write_site(notebooks, work / "site", widgets=False)
        whole = work / "site" / "paper.html"
        whole.write_text(paper(work / "site", list(notebooks)), encoding="utf-8")
        page = playwright.chromium.launch(executable_path=named, args=["--no-sandbox"]).new_page(color_scheme="light")
        page.goto(whole.as_uri(), timeout=300_000)
        page.set_default_timeout(600_000)
        page.pdf(
            path=temporary,
            format="A4",
            margin={"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"},
            display_header_footer=True,
            header_template="<p></p>",
            footer_template=_FOOT,
            print_background=True,
            outline=True,
            tagged=True,
        )
    return out
