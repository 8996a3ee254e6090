"""What a reader does on the site besides reading: search, change the light, print, open it from a disk."""

import re

import pytest
from playwright.sync_api import expect

from lora_lessons.course.syllabus import GROUPS

from .conftest import DESKTOP, PHONE

LESSON = "lessons/01_low_rank.html"


def test_a_word_is_found_and_its_page_opened(visit):
    page = visit(LESSON).page
    box = page.locator(".sidebar-search")
    box.fill("perplexity")
    box.press("Enter")
    results = page.locator("#search-results li")
    expect(results.first).to_be_visible()
    link = results.locator("a", has_text="How much of a matrix").first
    link.click()
    expect(page.locator("h1")).to_contain_text("How much of a matrix")


SEARCHED = {
    "alpha": "glossary.html#term-alpha",
    "checkpointing": "glossary.html#term-checkpointing",
    "catastrophic forgetting": "lessons/09_adapters.html",
    "overfitting": "lessons/11_your_own.html",
    "OOM": "lessons/08_qlora_7b.html",
    "out of memory": "lessons/08_qlora_7b.html",
    "target modules": "lessons/05_rank_and_alpha.html",
    "laptop": "lessons/00_start_here.html",
    "license": "index.html",
    "memory": "lessons/08_qlora_7b.html",
    "perplexity": "",
    "solved": "",
}


def test_everyday_words_find_their_page_terms_the_glossary_and_ledgers_of_numbers_stand_last(visit):
    visitor = visit(LESSON)
    for typed, first in SEARCHED.items():
        page = visitor.go(f"search.html?q={typed.replace(' ', '+')}")
        expect(page.locator(".search-summary")).to_contain_text("found")
        links = page.locator("#search-results li > a").evaluate_all("all => all.map((e) => e.getAttribute('href'))")
        assert links and first in re.sub(r"\?[^#]*", "", links[0]), typed
        numbers = ["numbers/" in link for link in links]
        assert typed != "perplexity" or (numbers == sorted(numbers) and not all(numbers))
    page.wait_for_load_state("networkidle")
    assert "□" not in page.locator("#search-results").inner_text(), "a search for “solved” quotes no map of progress"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_way_back_to_the_top_covers_no_control(visit, size):
    page = visit(LESSON, size).page
    holder = page.locator(".live-widget").first
    holder.scroll_into_view_if_needed()
    expect(holder).to_have_attribute("data-life", "live")
    place = holder.evaluate("e => e.getBoundingClientRect().top + scrollY")
    page.evaluate("y => scrollTo(0, y)", place + 300)
    page.wait_for_timeout(100)
    page.evaluate("y => scrollTo(0, y)", place - 70)
    expect(page.locator(".back-to-top")).to_be_visible()
    covered = """e => { const { x, y, width, height } = e.getBoundingClientRect();
        return e.contains(document.elementFromPoint(x + width / 2, y + height / 2)); }"""
    assert all(control.evaluate(covered) for control in holder.locator("input, select").all())


def test_the_sidebar_has_its_lessons_in_four_groups(visit):
    page = visit(LESSON).page
    captions = page.locator(".sidebar-tree p.caption").all_inner_texts()
    assert [one.lower() for one in captions] == [*(group.lower() for group in GROUPS), "look it up"]


def test_the_light_is_the_readers_and_can_be_changed(visit):
    page = visit(LESSON, dark=True).page
    ground = lambda: page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")  # noqa: E731
    dark = ground()
    page.emulate_media(color_scheme="light")
    light = ground()
    assert dark != light
    button = page.locator(
        ".theme-toggle-header:visible, .theme-toggle-content .theme-toggle:visible, .theme-toggle:visible"
    ).first
    seen = set()
    for _ in range(3):
        button.click()
        seen.add((page.locator("body").get_attribute("data-theme"), ground()))
    assert ("dark", dark) in seen and ("light", light) in seen


def test_a_lesson_is_printed_without_what_only_a_screen_needs(visit, screenshots):
    page = visit(LESSON, dark=True).page
    page.emulate_media(media="print")
    dimmed = [one.evaluate("e => getComputedStyle(e).filter") for one in page.locator("article .cell_output img").all()]
    assert {*dimmed} == {"none"}, "on paper no figure is dimmed, whatever the screen's light"
    for screen_only in (".sidebar-drawer", ".toc-drawer", ".mobile-header", ".skip-to-content"):
        expect(page.locator(screen_only).first).to_be_hidden()
    expect(page.locator("h1")).to_be_visible()
    assert page.locator("article img").count() >= 3
    pdf = page.pdf(format="A4")
    (screenshots / "site_printed.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") > 3


def test_the_site_is_read_from_a_disk_as_well(site, visit):
    at = site.as_uri()
    visitor = visit("index.html", PHONE, at=at)
    for name in ("map.html", "claims.html", "glossary.html", "numbers/01_low_rank.html", LESSON):
        page = visitor.go(name)
        expect(page.locator("h1").first).to_be_visible()
    holder = page.locator(".live-widget").first
    holder.scroll_into_view_if_needed()
    expect(holder).to_have_attribute("data-life", "live")
    page = visitor.go("search.html?q=perplexity")
    expect(page.locator("#search-results li").first).to_be_visible()


SEEN = {
    "the answers never change": "loss falls a little, answers unchanged",
    "answers do not change": "loss falls a little, answers unchanged",
    "out of memory": "“CUDA out of memory”",
    "OOM": "“CUDA out of memory”",
    "it forgets everything": "the model forgot everything it knew",
    "overfitting": "every question gets a memorised answer",
    "it is too slow": "the loss falls far too slowly",
}


def test_plain_words_find_a_symptom_and_its_suspects(visit):
    page = visit("lessons/symptoms.html").page
    suspects, field = page.locator("p[id^='exhibit-']:visible"), page.get_by_role("searchbox", name="What do you see?")
    whole, rows = suspects.count(), page.locator(".symptoms tbody tr:visible")
    every, said = rows.count(), page.get_by_role("status")
    for typed, first in SEEN.items():
        field.fill(typed)
        expect(rows.first.locator("td").first).to_have_text(first)
        linked = {link.get_attribute("href")[1:] for link in rows.locator("a").all()}
        assert {one.get_attribute("id") for one in suspects.all()} == linked and 0 < len(linked) < whole
        expect(said).to_have_text(f"{rows.count()} of {every} symptoms")
    field.fill("zebra")
    expect(said).to_contain_text("No symptom has any of these words")
    expect(page.locator("h2", has_text="In sizes")).to_be_hidden()
    field.fill("")
    expect(said).to_have_text("")
    assert suspects.count() == whole
    expect(visit(LESSON).page.get_by_role("searchbox", name="What do you see?")).to_have_count(0)


def test_by_keyboard_a_phones_menu_opens_and_what_is_closed_takes_no_focus(visit):
    page = visit(LESSON, PHONE).page
    here = (
        "() => { const b = document.activeElement.getBoundingClientRect(); return b.right > 0 && b.left < innerWidth; }"
    )
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate(here), page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
    menu = page.get_by_role("checkbox", name="Toggle site navigation sidebar")
    menu.focus()
    page.keyboard.press("Space")
    link = page.locator(".sidebar-tree a", has_text="What is the smallest update").first
    expect(link).to_be_in_viewport()
    link.focus()
    expect(link).to_be_focused()


def test_by_keyboard_a_branch_of_the_sidebar_unfolds(visit):
    page = visit(LESSON).page
    branch = page.get_by_role("switch", name="Toggle navigation of 03 ·")
    trip = page.locator(".sidebar-tree a[href='deeper/03_directions_and_spans.html']")
    branch.focus()
    before = trip.is_visible()
    page.keyboard.press("Space")
    expect(trip).to_be_visible(visible=not before)


def test_on_a_phone_figures_are_as_wide_as_the_page_and_long_answers_wrap(visit):
    page = visit("lessons/03_train_lora.html", PHONE).page
    figures = page.locator(".cell_output img:not(.live-widget img)")
    assert set(figures.evaluate_all("all => all.map((e) => e.offsetWidth)")) == {358}, "as tests of their type reckon"
    assert page.evaluate("document.querySelector('.content').scrollWidth <= innerWidth")
    answer = page.locator(".output.stream pre", has_text="The bread is dense").first
    assert answer.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
