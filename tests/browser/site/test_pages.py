"""Every page of the site, in a desktop's window and a phone's, in light and in dark: what axe finds,
and what sticks out."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from .conftest import DESKTOP, PHONE

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RUN = """async ([rules, without]) => {
    const found = await axe.run({ include: [["html"]], exclude: without.map((one) => [one]) },
        { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) });
    return found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map(
        (one) => `${one.id}: ${one.nodes.length} × ` +
            `${one.nodes[0].html.slice(0, 150)} ${one.nodes[0].any[0]?.message ?? ""}`);
}"""
CODE = ".highlight"
COLORS = f"""[...new Set([...document.querySelectorAll("{CODE} span")].map((one) => one.className))]"""
STICKS_OUT = """() => {
    const wide = [document.documentElement, ...document.querySelectorAll(".content")]
        .filter((e) => e.scrollWidth > e.clientWidth);
    const scrolls = (e) => e && !wide.includes(e) &&
        (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    return wide.length ? [...document.querySelectorAll(".content *")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
        .slice(0, 3).map((e) => `wider than the page: ${e.outerHTML.slice(0, 120)}`) : [];
}"""
PARTS = 6


def pages(site: Path) -> list[str]:
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


# pictures that wait until they are near
AT_ONCE = """Promise.all([...document.querySelectorAll("img[loading=lazy]")].map(img => {
    img.loading = "eager";
    return img.decode().catch(() => null);
}))"""


def look(page: Any, folder: Path, name: str) -> None:
    """A screenshot of the whole page, where somebody asked for them."""
    if "LORA_LESSONS_SCREENSHOTS" in os.environ:
        page.evaluate(AT_ONCE)
        page.screenshot(path=folder / f"site_{name}.png", full_page=True)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_can_be_read_by_everyone(site, visit, screenshots, part):
    visitor, found, colors = visit("index.html"), [], set[str]()
    for name in pages(site)[part::PARTS]:
        page, shot = visitor.go(name), name.removesuffix(".html").replace("/", "_")
        page.evaluate(AXE)
        # thousands of words of code, each in a color of the same few: looked at where one is new
        without = [CODE] if colors.issuperset(here := page.evaluate(COLORS)) else []
        colors |= set(here)
        found += [f"{name}: {one}" for one in page.evaluate(RUN, [None, without])]
        look(page, screenshots, f"{shot}_light")
        page.emulate_media(color_scheme="dark")
        found += [f"{name}, dark: {one}" for one in page.evaluate(RUN, [["color-contrast"], without])]
        look(page, screenshots, f"{shot}_dark")
        page.set_viewport_size(PHONE)
        found += [f"{name}, phone: {one}" for one in page.evaluate(STICKS_OUT)]
        look(page, screenshots, f"{shot}_phone_dark")
        page.emulate_media(color_scheme="light")
        look(page, screenshots, f"{shot}_phone_light")
        page.set_viewport_size(DESKTOP)
    assert found == []


def test_axe_and_the_ruler_see_what_is_wrong(visit):
    page = visit("glossary.html", PHONE).page
    page.evaluate(AXE)
    assert (page.evaluate(RUN, [None, []]), page.evaluate(STICKS_OUT)) == ([], [])
    insert = "html => document.querySelector('article').insertAdjacentHTML('afterbegin', html)"
    page.evaluate(insert, "<p style='color:#888;background:#999'>pale</p>")
    assert any(one.startswith("color-contrast") for one in page.evaluate(RUN, [None, []]))
    page.evaluate(insert, "<div style='width:600px'>wide</div>")
    assert any("wide</div>" in one for one in page.evaluate(STICKS_OUT))
