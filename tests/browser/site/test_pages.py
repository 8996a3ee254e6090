"""Every page of the site, in a desktop's window and a phone's, in light and in dark: what axe finds,
and what sticks out."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from .conftest import DESKTOP, PHONE

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RUN = """async ([rules, without]) => {
    const found = await axe.run({ include: [["html"]], exclude: without.map((one) => [one]) },
        { resultTypes: ["violations"], ...rules });
    return found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map(
        (one) => `${one.id}: ${one.nodes.length} × ` +
            `${one.nodes[0].html.slice(0, 150)} ${one.nodes[0].any[0]?.message ?? ""}`);
}"""
CONTRAST = "color-contrast"
OLD_CODE = [".highlight[data-seen]", "[data-seen] .highlight"]  # thousands of words, each in a color of the same few
# Marks what holds only words that are hidden, or whose color, size and grounds were looked at before; names the others.
PAINTS = """seen => {
    document.querySelectorAll("[data-seen]").forEach((e) => e.removeAttribute("data-seen"));
    const known = new Set(seen), found = new Set(), grounds = new Map([[null, ""]]);
    const ground = (e) => {
        if (!grounds.has(e)) {
            const { backgroundColor, backgroundImage, opacity, filter, position } = getComputedStyle(e);
            const mine = [backgroundColor, backgroundImage, opacity, filter, position];
            grounds.set(e, [ground(e.parentElement), ...mine].join());
        }
        return grounds.get(e);
    };
    const paint = (e) => {
        const { color, fontSize, fontWeight, textShadow } = getComputedStyle(e);
        return [color, fontSize, fontWeight, textShadow, ground(e)].join();
    };
    const isOld = (e) => {
        const says = [...e.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        const shown = e.checkVisibility({ checkVisibilityCSS: true }) && e.getBoundingClientRect().width > 1;
        const words = shown && (says || e.matches("input, select"));
        const [mine, below] = [words ? paint(e) : null, [...e.children].map(isOld)];
        if (words) found.add(mine);
        if ((!words || known.has(mine)) && below.every(Boolean)) return true;
        [...e.children].forEach((one, n) => below[n] && one.setAttribute("data-seen", ""));
        return false;
    };
    const nothingNew = isOld(document.body);
    return [nothingNew, [...found]];
}"""
STICKS_OUT = """() => {
    const wide = [document.documentElement, ...document.querySelectorAll(".content")]
        .filter((e) => e.scrollWidth > e.clientWidth);
    const scrolls = (e) => e && !wide.includes(e) &&
        (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
    return wide.length ? [...document.querySelectorAll(".content *")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e))
        .slice(0, 3).map((e) => `wider than the page: ${e.outerHTML.slice(0, 120)}`) : [];
}"""
PARTS = 3


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


def faults(page: Any, seen: set[str], all_rules: bool = True) -> list[str]:
    """What axe finds: by all its rules, or by that of contrast alone, and words in a color that is among `seen`,
    which has the others afterwards, are not held against their ground again."""
    nothing_new, paints = page.evaluate(PAINTS, [*seen])
    seen |= {*paints}
    by_rule = page.evaluate(RUN, [{"rules": {CONTRAST: {"enabled": False}}}, OLD_CODE]) if all_rules else []
    return by_rule if nothing_new else by_rule + page.evaluate(RUN, [{"runOnly": [CONTRAST]}, ["[data-seen]"]])


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_can_be_read_by_everyone(site, visit, screenshots, part):
    visitor, found, seen = visit("index.html"), [], set[str]()
    for name in pages(site)[part::PARTS]:
        page, shot = visitor.go(name), name.removesuffix(".html").replace("/", "_")
        page.evaluate(AXE)
        found += [f"{name}: {one}" for one in faults(page, seen)]
        look(page, screenshots, f"{shot}_light")
        page.emulate_media(color_scheme="dark")
        found += [f"{name}, dark: {one}" for one in faults(page, seen, all_rules=False)]
        look(page, screenshots, f"{shot}_dark")
        page.set_viewport_size(PHONE)
        found += [f"{name}, phone: {one}" for one in page.evaluate(STICKS_OUT)]
        look(page, screenshots, f"{shot}_phone_dark")
        page.emulate_media(color_scheme="light")
        look(page, screenshots, f"{shot}_phone_light")
        page.set_viewport_size(DESKTOP)
    assert found == []


def test_axe_and_the_ruler_see_what_is_wrong(visit):
    page, seen = visit("glossary.html", PHONE).page, set[str]()
    page.evaluate(AXE)
    assert (faults(page, seen), page.evaluate(STICKS_OUT)) == ([], [])
    insert = "html => document.querySelector('article').insertAdjacentHTML('afterbegin', html)"
    page.evaluate(insert, "<p style='color:#888;background:#999'>pale <b style='color:#000'>dark</b></p>")
    assert any(one.startswith(CONTRAST) and "pale" in one for one in faults(page, seen, all_rules=False))
    page.evaluate(insert, "<button></button><div style='width:600px'>wide</div>")
    assert any(one.startswith("button-name") for one in faults(page, seen))
    assert any("wide</div>" in one for one in page.evaluate(STICKS_OUT))
