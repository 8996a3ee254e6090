"""The site's hints in a real browser, on a small page with the site's own script and sheets."""

import pytest
from playwright.sync_api import expect

from workshop.site.settings import THEME

LINKS = """<p style="margin-top:6rem">The share is <a class="bound" href="#record" 
 data-hint="share: 0.28&#10;&lt;b&gt;Seeds&lt;/b&gt; 0, 1">2.8%</a>
of <a class="term" href="#rank" data-hint="How many directions.">rank</a> and <code>code</code>.</p>
<p style="text-align:right"><a class="bound" href="#edge" data-hint="{long}">9</a></p><h2 id="record">The record</h2>"""


@pytest.fixture
def open_page(browser, tmp_path):
    """A page of this body at the size of a desktop or a phone."""
    contexts = []

    def opened(body, width=1280, **device):
        sheets = "".join(f'<link rel="stylesheet" href="{sheet.as_uri()}">' for sheet in sorted(THEME.glob("*.css")))
        script = f'<script src="{(THEME / "hints.js").as_uri()}"></script>'
        file = tmp_path / "page.html"
        head = f'<meta name="viewport" content="width=device-width">{sheets}{script}'
        file.write_text(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>", encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **device))
        page = contexts[-1].new_page()
        page.set_default_timeout(180_000)
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def test_a_hint_is_shown_on_hover_and_goes_with_the_pointer(open_page):
    page = open_page(LINKS)
    tip = page.get_by_role("tooltip")
    expect(tip).to_have_count(0)
    page.get_by_text("2.8%").hover()
    expect(tip).to_have_text("share: 0.28\n<b>Seeds</b> 0, 1")
    expect(page.get_by_text("2.8%")).to_have_accessible_description("share: 0.28 <b>Seeds</b> 0, 1")
    tip.hover()
    expect(tip).to_be_visible()
    page.locator("code").hover()
    expect(tip).to_have_count(0)
    expect(page.get_by_text("2.8%")).not_to_have_attribute("aria-describedby", "hint")


def test_by_keyboard_a_hint_comes_with_focus_and_escape_closes_it(open_page):
    page = open_page(LINKS)
    tip = page.get_by_role("tooltip")
    page.keyboard.press("Tab")
    expect(tip).to_contain_text("share")
    page.keyboard.press("Tab")
    expect(tip).to_have_text("How many directions.")
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    expect(page.get_by_text("rank", exact=True)).to_be_focused()


def test_on_a_phone_a_first_tap_shows_the_hint_and_a_second_follows_the_link(open_page):
    page = open_page(LINKS, width=390, has_touch=True, is_mobile=True)
    tip = page.get_by_role("tooltip")
    page.get_by_text("2.8%").tap()
    expect(tip).to_contain_text("share")
    assert "#" not in page.url
    page.get_by_text("The record").tap()
    expect(tip).to_have_count(0)
    page.get_by_text("2.8%").tap()
    page.get_by_text("2.8%").tap()
    page.wait_for_url("**#record")


@pytest.mark.parametrize("width", [390, 1280])
def test_a_hint_stays_inside_the_window(open_page, width):
    page = open_page(LINKS.format(long="many words " * 30), width=width)
    page.get_by_text("9", exact=True).hover()
    box = page.get_by_role("tooltip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] >= 0 and box["y"] + box["height"] <= 800
    assert page.evaluate("document.documentElement.scrollWidth") <= width
