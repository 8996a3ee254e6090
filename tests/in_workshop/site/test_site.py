"""The whole site, as `python -m workshop site` writes it: it builds without a warning,
and every page is what it must be."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from lora_lessons.course.lesson import lessons, side_trips
from workshop.site.build import stored

pytestmark = pytest.mark.long
BYTES_OF_A_PAGE = 600_000
PLACES = {"index", "search", "next", "prev", "canonical"}  # a link to which a browser fetches nothing by itself


class Page(HTMLParser):
    """What a page fetches, where its links lead, the names in it, its headings and its formulas."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file, self.tags = file, []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def fetched(self):
        """What a browser fetches by itself: whatever it is must lie in the site."""
        yield from (one["href"] for one in self.every("link") if one["rel"] not in PLACES)
        yield from (one[name] for _, one in self.tags for name in ("src", "srcset", "poster", "data") if one.get(name))

    def names(self):
        return [value for _, attributes in self.tags for name, value in attributes.items() if name in ("id", "name")]


@cache
def read(file: Path) -> Page:
    return Page(file)


@pytest.fixture(scope="module")
def pages(site):
    return {file.relative_to(site).as_posix(): read(file) for file in sorted(site.rglob("*.html"))}


def lesson_pages(pages):
    return {name: page for name, page in pages.items() if name.startswith("lessons/") and "symptoms" not in name}


def is_outside(address):
    return bool(re.match(r"(?:\w+:)?//|\w+:(?!image/)", address)) and not address.startswith("data:")


def test_every_lesson_and_side_trip_is_a_page(pages):
    wanted = {f"lessons/{path.stem}.html" for path in lessons()}
    wanted |= {f"lessons/deeper/{path.stem}.html" for path in side_trips()}
    assert set(lesson_pages(pages)) == wanted
    assert {"index.html", "map.html", "claims.html", "glossary.html", "numbers.html", "search.html"} <= set(pages)


def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(site, pages):
    lost = []
    for name, page in pages.items():
        for attributes in page.every("a"):
            address = attributes.get("href") or ""
            if not address or is_outside(address):
                continue
            path, _, anchor = address.partition("#")
            target = (page.file.parent / unquote(path)).resolve() if path else page.file
            if not target.is_file() or (
                anchor and target.suffix == ".html" and unquote(anchor) not in read(target).names()
            ):
                lost.append((name, address))
    assert lost == []


def test_a_page_has_one_title_and_its_headings_go_down_step_by_step(pages):
    for name, page in pages.items():
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1, name
        assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), (name, levels)


def test_pictures_have_words_wait_until_they_are_near_and_keep_their_room_free(site, pages):
    seen = 0
    for name, page in lesson_pages(pages).items():
        for picture in page.every("img"):
            seen += 1
            assert len(picture["alt"]) >= 40 and picture["loading"] == "lazy", name
            assert int(picture["width"]) > 0 and int(picture["height"]) > 0
            assert not picture["src"].startswith("data:"), "a picture within a page is read by who never scrolls there"
    assert seen >= 60


def test_a_page_is_light_and_fetches_nothing_from_elsewhere(pages):
    for name, page in pages.items():
        assert [address for address in page.fetched() if is_outside(address)] == [], name
        files = {(page.file.parent / address.split("?")[0]).resolve() for address in page.fetched()}
        weight = page.file.stat().st_size + sum(file.stat().st_size for file in files if file.is_file())
        assert weight <= BYTES_OF_A_PAGE, (name, weight)


def test_what_only_a_kernel_needs_is_hidden_and_what_a_program_reads_is_gone(pages):
    for name, page in lesson_pages(pages).items():
        text = page.file.read_text(encoding="utf-8")
        for hidden in (
            "unpack_archive",
            "Not solved yet",
            "No prediction yet",
            "colab-badge",
            "vnd.lora-lessons.record",
        ):
            assert hidden not in text, (name, hidden)


def test_each_exercise_shows_its_stub_its_folded_hints_and_a_way_to_a_kernel(pages):
    for place, notebook in stored().items():
        page = pages[f"lessons/{place}.html"].file.read_text(encoding="utf-8")
        ids = [id for cell in notebook.cells for id in re.findall(r'^check\("([\d.]+)"', cell.source, re.M)]
        for id in ids:
            assert f"Do exercise {id}, and have your answer checked" in page
        hints = sum(cell.source.count("<details>") for cell in notebook.cells if cell.cell_type == "markdown")
        assert page.count("<summary>Hint 1</summary>") >= len(ids) or hints == 0
        assert page.count("<details>") >= hints + len(ids)


def test_formulas_are_mathml_and_no_tex_is_left(pages):
    formulas = 0
    for name, page in lesson_pages(pages).items():
        formulas += len(page.every("math"))
        words = re.sub(
            r"<(pre|code|script|style|annotation)\b.*?</\1>|<[^>]+>", " ", page.file.read_text("utf-8"), flags=re.S
        )
        assert not re.search(r"\\(?:tfrac|top|begin|sqrt|sum|text)\b|\$[^$ ]+\$", words), name
    assert formulas > 100


def test_the_foot_of_a_lesson_leads_to_the_next_lesson_and_the_sidebar_has_them_in_order(pages):
    main = [f"{path.stem}.html" for path in lessons()]
    for before, after in zip(main, main[1:], strict=False):
        (link,) = [a for a in pages[f"lessons/{before}"].every("a") if a.get("class") == "next-page"]
        assert link["href"] == after
    sidebar = [a["href"] for a in pages["index.html"].every("a") if "internal" in a.get("class", "")]
    assert [address for address in dict.fromkeys(sidebar) if re.fullmatch(r"lessons/\d\d_\w+\.html", address)] == [
        f"lessons/{one}" for one in main
    ]


def test_nothing_is_in_the_folder_that_nobody_opens(site):
    assert (site / ".nojekyll").is_file()
    for name in (".buildinfo", ".doctrees", "_sources", "objects.inv", "conf.py"):
        assert not (site / name).exists()
    assert not [path for path in site.rglob("*") if path.suffix in (".map", ".ipynb", ".md", ".pickle")]
