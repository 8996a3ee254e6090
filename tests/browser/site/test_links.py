"""Every link inside the site leads somewhere: to a page that is there, and to a place on it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

ELSEWHERE = ("http://", "https://", "mailto:", "data:")


class _Links(HTMLParser):
    """The ids of a page, and every address that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if name in ("href", "src") and value is not None and not value.startswith(ELSEWHERE):
                self.links.append(value)


def parsed(page: Path) -> _Links:
    links = _Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def broken(site: Path) -> list[str]:
    """Every link of every page that leads nowhere."""
    pages = {path.resolve(): parsed(path) for path in site.rglob("*.html")}
    found = []
    for page, its in pages.items():
        for link in its.links:
            path, anchor = urldefrag(link)
            target = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            if not target.is_file():
                found.append(f"{page.relative_to(site.resolve())}: {link} is no file")
            elif anchor and target in pages and unquote(anchor) not in pages[target].ids:
                found.append(f"{page.relative_to(site.resolve())}: {link} is no place")
    return found


def test_every_link_inside_the_site_leads_somewhere(site):
    assert broken(site) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text("<p id=here><a href='#here'>1</a><a href='b.html'>2</a><a href='#gone'>3</a>")
    assert broken(tmp_path) == ["a.html: b.html is no file", "a.html: #gone is no place"]
