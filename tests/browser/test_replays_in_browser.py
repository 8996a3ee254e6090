"""What the stored notebooks kept, played in a page that no kernel serves: the door, the chat box, the marks, the mixer,
and the game of six runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import expect

from lora_lessons import lessons
from lora_lessons.course.lesson import lessons as notebooks
from lora_lessons.lessons.l06.widget import SixteenMarks
from workshop.site import widgets

THEME = Path(widgets.__file__).with_name("theme")
WHERE = {
    "door": 0,
    "door_scales": 0,
    "chat_box": 3,
    "six_runs": 5,
    "sixteen_marks": 6,
    "mixer": 9,
}  # whose lesson keeps it


@pytest.fixture(scope="module")
def kept() -> dict[str, tuple[str, dict[str, Any]]]:
    """Of each scene: the HTML that mounts it, and its baked file."""
    lessons.rooms()
    found = {}
    for name, number in WHERE.items():
        path = notebooks()[number]
        notebook = nbformat.read(path, as_version=4)
        found[name] = widgets.mount_scene(notebook, path.stem, name), widgets.found(notebook, path.stem)[name]
    return found


@pytest.fixture(scope="module", params=[1100, 390], ids=["desktop", "phone"])
def page(request: Any, browser: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page with all of them, opened from the disk."""
    folder: Path = tmp_path_factory.mktemp("replays")
    widgets.bake(folder / "widgets", [])
    for name in ("widgets.js", "widgets.css"):
        shutil.copy(THEME / name, folder)
    body = "".join(f'<section id="{name}">{html}</section>' for name, (html, _) in kept.items())
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link '
        'rel="stylesheet" href="widgets.css">'
    )
    (folder / "index.html").write_text(
        f'<!doctype html>{head}{body}<script src="widgets.js"></script>', encoding="utf-8"
    )
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.set_default_timeout(180_000)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda asked: page.wrong.append(asked.url) if asked.url.startswith("http") else None)
    page.goto((folder / "index.html").as_uri())
    yield page
    page.close()


def woken(page: Any, name: str) -> Any:
    section = page.locator(f"#{name}")
    section.scroll_into_view_if_needed()
    expect(section.locator(".live-widget")).to_have_attribute("data-life", "live")
    expect(section.locator(".note")).to_contain_text(
        "Your browser works" if name == "sixteen_marks" else "Recorded on 20"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen"
    return section


@pytest.mark.parametrize("name", ["door", "door_scales"])
def test_the_door_is_dragged_back(page: Any, kept: Any, name: str) -> None:
    section, scene = woken(page, name), kept[name][1]["state"]["scene"]
    slider = section.get_by_role("slider")
    expect(section.locator(".words")).to_have_text(scene["words"][-1])
    slider.focus()
    page.keyboard.press("Home")
    expect(section.locator(".words")).to_have_text(scene["words"][0])
    page.keyboard.press("ArrowRight")
    expect(section.locator(".words")).to_have_text(scene["words"][1])
    section.get_by_role("textbox").fill("99")
    page.keyboard.press("Enter")
    expect(section.get_by_role("alert")).to_contain_text("This is a recording: it has stops from 0 to ")
    assert page.wrong == []


def test_the_chat_box_answers_what_was_recorded(page: Any, kept: Any) -> None:
    section, rows = woken(page, "chat_box"), kept["chat_box"][1]["answers"]["rows"]
    before = section.locator(".turn").count()
    expect(section.get_by_role("button", name="Stop")).to_be_hidden()
    asked = rows[-1]["question"]
    section.get_by_role("combobox", name="your question").select_option(asked)
    section.get_by_role("button", name="Ask").click()
    section.get_by_role("switch", name="adapter on").uncheck()
    section.get_by_role("button", name="Ask").click()
    for number, adapter in ((before, True), (before + 1, False)):
        (answer,) = [row["answer"] for row in rows if (row["question"], row["adapter"]) == (asked, adapter)]
        turn = section.locator(".turn").nth(number)
        expect(turn.locator(".answer")).to_have_text(answer)
        expect(turn.locator(".question")).to_have_text(f"You, adapter {'on' if adapter else 'off'}: {asked}")
    expect(section.get_by_role("status")).to_contain_text("Flip the switch")
    section.get_by_role("switch", name="adapter on").check()
    assert page.wrong == []


def test_six_runs_are_spent_and_the_best_card_is_held_against_the_recipes(page: Any, kept: Any) -> None:
    section, state = woken(page, "six_runs"), kept["six_runs"][1]["state"]
    cards, recipe = section.locator("td button"), state["recipe"]
    means = [sum(card["losses"]) / len(card["losses"]) for card in state["cards"]]
    worst = means.index(max(means))
    status = section.get_by_role("status")

    def card(n: int) -> Any:
        r, alpha, rate = (f"{state['cards'][n][name]:g}" for name in ("r", "lora_alpha", "learning_rate"))
        return section.get_by_role("button", name=f"r = {r}, α = {alpha}, rate {rate}:")

    expect(cards).to_have_count(len(means))
    for n, left in ((worst, 5), (recipe, 4), (recipe, 3), (recipe, 2)):
        card(n).click()
        expect(status).to_contain_text(f"You have {left} runs left.")
    expect(card(recipe)).to_be_disabled()  # it has three seeds
    expect(card(recipe)).to_have_text(f"{means[recipe]:.2f}")
    card(worst).click()
    card(worst).click()
    behind = means[recipe] - min(means)
    expect(status).to_contain_text(f"{behind:.3f} nats above the best")
    expect(status).to_contain_text("It is the recipe's choice, too.")
    assert "?" not in cards.all_text_contents()
    section.get_by_role("button", name="Play again").click()
    assert set(cards.all_text_contents()) == {"?"}
    assert page.wrong == []


def test_the_mixer_answers_what_was_recorded_and_offers_nothing_else(page: Any, kept: Any) -> None:
    section, rows = woken(page, "mixer"), kept["mixer"][1]["answers"]["rows"]
    first, second = (section.get_by_role("combobox", name=f"{which} adapter") for which in ("first", "second"))
    scale, scale_second = (section.get_by_role("slider", name=f"scale of {which}") for which in ("first", "second"))
    question, answer = section.get_by_role("combobox", name="your question"), section.locator(".answer").last
    first.select_option("persona")
    alone = [row for row in rows if (row["first"], row["second"]) == ("persona", "none")]
    own = [row for row in alone if row["question"] == alone[0]["question"]]
    assert question.input_value() == own[0]["question"] and scale_second.is_disabled()
    scale.focus()
    page.keyboard.press("Home")
    for row in sorted(own, key=lambda row: row["scale"]):
        expect(answer).to_have_text(row["answer"])
        expect(scale).to_have_attribute("aria-valuetext", f"{row['scale']:.1f}")
        page.keyboard.press("ArrowRight")
    expect(section.locator(".answer").first).to_have_text(own[0]["base"])
    section.get_by_text("1.5 × persona").wait_for()

    second.select_option("code_style")
    pair = [row for row in rows if (row["first"], row["second"]) == ("code_style", "persona")]
    assert question.input_value() == pair[0]["question"] and len(pair) == 4
    status = section.get_by_role("status")
    expect(status).to_contain_text("The question is now one that was recorded for persona and code_style.")
    expect(status).to_contain_text("recorded at the scales 0.5 and 1.0 alone. The answer stands as the model gave it")
    scale.focus()
    page.keyboard.press("Home")
    (row,) = [row for row in pair if (row["scale"], row["scale_second"]) == (1.0, 0.5)]  # the persona's is the second's
    expect(answer).to_have_text(row["answer"])
    expect(scale).to_have_attribute("aria-valuetext", "0.5")
    expect(section.get_by_role("button", name="Answer")).to_be_hidden()

    second.select_option("persona")
    expect(section.get_by_role("status")).to_contain_text("choose two different adapters")
    assert section.locator(".answer").all_text_contents() == ["", ""]
    first.select_option("none")
    expect(section.get_by_text("× persona")).to_be_visible()
    expect(answer).not_to_have_text("")
    second.select_option("none")
    expect(section.get_by_text("no adapter")).to_be_visible()
    assert page.wrong == []


def test_sixteen_marks_are_dragged_and_the_page_works_out_pythons_error(page: Any, kept: Any) -> None:
    section, state = woken(page, "sixteen_marks"), kept["sixteen_marks"][1]["state"]
    python = SixteenMarks(**state)
    score, third = section.get_by_role("status"), section.get_by_role("slider", name="mark 3", exact=True)
    section.get_by_role("button", name="NF4's marks").click()
    expect(score).to_have_text("Your error: {0}. NF4's: {0}.".format(f"{python.error(state['nf4']):.2%}"))
    section.get_by_role("button", name="Even marks").click()
    expect(score).to_contain_text(f"Your error: {python.error(state['marks']):.2%}")
    third.focus()
    page.keyboard.press("ArrowRight")
    expect(third).to_have_attribute("aria-valuenow", "-0.730")
    moved = [*state["marks"][:2], -0.73, *state["marks"][3:]]
    expect(score).to_contain_text(f"Your error: {python.error(moved):.2%}")
    circle = third.locator("circle").bounding_box()
    page.mouse.move(circle["x"] + 7, circle["y"] + 7)
    page.mouse.down()
    page.mouse.move(circle["x"] - 500, circle["y"], steps=3)
    page.mouse.up()
    expect(third).to_have_attribute("aria-valuenow", f"{state['marks'][1]:.3f}")  # not beyond its neighbour
