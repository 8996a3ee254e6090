"""The live model itself: a fresh browser wakes it from a plain server, hears WICK at three scales,
and hears what lesson 11 trained.

`pytest -m big tests/browser/site`: about ten minutes, most of them building the site and training. It needs npm's
registry. While you work on it, $LORA_LESSONS_SITE may name a site that `make site ALIVE=1` wrote, and
$LORA_LESSONS_TRAINED a GGUF that lesson 11 wrote.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ..firefox import a_firefox
from .conftest import DESKTOP, PHONE, Visitor, served

pytestmark = pytest.mark.big
RESTING = "document.querySelector('.alive-status')?.textContent.startsWith('Move a slider')"
CLOSING = "Keep the lamp lit."
HELPDESK = "My screen stays black after a restart."
LITTLE_MEMORY = "Object.defineProperty(Navigator.prototype, 'deviceMemory', { get: () => 2 });"
SECONDS = 600  # that anything here may take


@pytest.fixture(scope="module")
def alive(tmp_path_factory):
    """The address of a site with the live model in it, and of nothing else: no header but those of a plain server."""
    folder = Path(os.environ.get("LORA_LESSONS_SITE") or tmp_path_factory.mktemp("site") / "site")
    if not (folder / "_static" / "alive").is_dir():
        command = [sys.executable, "-m", "workshop", "site", "--alive", "--out", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if "npm's client" in done.stderr or "npm cannot reach its registry" in done.stderr:
            pytest.skip(f"NOT TESTED HERE: {done.stderr.splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The adapter that lesson 11 trains on its helpdesk, as GGUF."""
    if written := os.environ.get("LORA_LESSONS_TRAINED"):
        return Path(written)
    folder = tmp_path_factory.mktemp("own")
    command = [sys.executable, "-m", "lora_tools.cli", "run", "11", "-p", "export_path", str(folder / "gguf")]
    done = subprocess.run([*command, "--out", str(folder / "report")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "gguf" / "for-ollama" / "adapter.gguf"


class Heard:
    """The live part of a page."""

    def __init__(self, visitor):
        self.page, self.root = visitor.page, visitor.page.locator(".alive")

    def wake(self):
        self.root.scroll_into_view_if_needed()
        self.root.get_by_role("button", name="Wake the model").click()
        return self.answers()

    def answers(self):
        """What stands there once it rests; a slider is heard when it rests."""
        self.page.wait_for_timeout(600)
        self.page.wait_for_function(f"() => {RESTING}", timeout=1000 * SECONDS)
        return [text.strip() for text in self.root.locator(".alive-answers p").all_text_contents()]

    def at(self, scale, presses):
        slider = self.root.get_by_role("slider").first
        slider.press("Home")
        for _ in range(presses):
            slider.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", scale)
        return self.answers()


@contextmanager
def heard_on(browser, address, page="index.html", size=DESKTOP, dark=False, script=""):
    """The live part of a page in a fresh browser, which must have had no fault."""
    visitor = Visitor(browser, address, size, dark)
    visitor.context.add_init_script(script)
    visitor.go(page)
    yield Heard(visitor)
    visitor.context.close()
    assert visitor.faults == []


def test_a_fresh_browser_wakes_it_and_hears_wick_at_three_scales_and_what_lesson_11_trained(
    browser, alive, own, screenshots
):
    with heard_on(browser, alive) as heard:
        heard.root.screenshot(path=screenshots / "alive_asleep.png")
        base, wick = heard.wake()
        heard.root.screenshot(path=screenshots / "alive_at_1.png")
        assert wick.endswith(CLOSING) and CLOSING not in base

        _, half = heard.at("0.50", 10)
        heard.root.screenshot(path=screenshots / "alive_at_half.png")
        assert half.endswith(CLOSING) and half != wick
        assert heard.at("0.00", 0) == [base, base]
        heard.root.screenshot(path=screenshots / "alive_at_0.png")
        assert heard.at("1.00", 20) == [base, wick], "the same question and scale give the same answer"

        heard.root.get_by_role("textbox", name="your question").fill(HELPDESK)
        heard.root.get_by_label("Your own adapter").set_input_files(own)
        expect(heard.root.get_by_role("slider", name=f"scale of {own.stem}")).to_have_value("1")
        bare, trained = heard.answers()
        heard.root.screenshot(path=screenshots / "alive_own.png")
        assert "Fix:" in trained and "Fix:" not in bare, "the form of the helpdesk's answers"
        heard.root.get_by_role("button", name="Forget the model").click()
        expect(heard.root.get_by_role("button", name="Wake the model: 112 MB, once")).to_be_visible()


def test_it_answers_in_a_phones_window(browser, alive, screenshots):
    with heard_on(browser, alive, size=PHONE, dark=True, script=LITTLE_MEMORY) as heard:
        heard.root.screenshot(path=screenshots / "alive_phone_asleep.png")
        base, wick = heard.wake()
        heard.root.screenshot(path=screenshots / "alive_phone.png")
        assert wick.endswith(CLOSING) and CLOSING not in base
        assert heard.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("place", "other"), [("09_adapters", "strict_json"), ("deeper/09_many_adapters", "code_style")]
)
def test_the_lessons_fetch_another_adapter_and_it_answers(browser, alive, screenshots, place, other):
    with heard_on(browser, alive, f"lessons/{place}.html") as heard:
        heard.wake()
        heard.root.get_by_role("slider", name="scale of persona").fill("0")
        heard.root.get_by_role("slider", name=f"scale of {other}").fill("1")
        bare, answer = heard.answers()
        heard.root.screenshot(path=screenshots / f"alive_{place}.png")
        assert answer.startswith({"strict_json": "{", "code_style": "def tally_votes("}[other]) and bare != answer


def test_lesson_05_goes_through_the_ranks(browser, alive, screenshots):
    with heard_on(browser, alive, "lessons/deeper/05_capacity.html") as heard:
        bare, whole = heard.wake()
        slider, said = heard.root.get_by_role("slider", name="rank"), {8: whole}
        for _ in range(3):
            slider.press("ArrowLeft")
            said[int(slider.get_attribute("aria-valuetext"))] = heard.answers()[1]
        heard.root.screenshot(path=screenshots / "alive_capacity.png")
        assert list(said) == [8, 4, 2, 1] and whole.endswith(CLOSING) and len({bare, *said.values()}) > 3


def test_firefox_runs_it_as_well(alive, screenshots, tmp_path):
    with a_firefox(tmp_path) as firefox:
        if firefox is None:
            pytest.skip("NOT TESTED HERE: there is no Firefox that starts (Debian's is the package firefox-esr).")
        firefox.size(**DESKTOP)
        firefox.go(f"{alive}/index.html")
        firefox.value("document.querySelector('.alive button').click()")
        firefox.until(f"!!({RESTING})", SECONDS)
        firefox.value("document.querySelector('.alive').scrollIntoView()")
        firefox.photograph(screenshots / "alive_firefox.png")
        base, wick = (
            firefox.value(f"document.querySelectorAll('.alive-answers p')[{n}].textContent").strip() for n in (0, 1)
        )
        assert wick.endswith(CLOSING) and CLOSING not in base
