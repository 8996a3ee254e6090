"""The adapter mixer in a real JupyterLab: asked, mixed, cancelled, and asked again, as a learner does it."""

from typing import Any

import pytest
import torch

from lora_lessons import lora, mixing, models
from lora_lessons.adapter import Adapter, adapter_of

MAKE = """
def made():
    adapters = {}
    for seed, name in enumerate(("one", "two")):
        lora.attach(base.model, r=2, lora_alpha=4, target_modules=["down_proj"], seed=seed)
        for _, layer in lora.lora_layers(base.model):
            layer.lora_B.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(seed))
        adapters[name] = adapter_of(base.model, name)
        lora.detach(base.model)
    return adapters
"""
SETUP = """from pathlib import Path
import torch
from lora_lessons.course import begin
from lora_lessons.lessons.l09 import widget
from lora_lessons import lora, models
from lora_lessons.adapter import adapter_of
begin("mixer")
tell = widget.Mixer._tell
def slowly(mixer, column, text):
    tell(mixer, column, text)  # and, as long as a file says so, wait for Cancel
    while Path("hold").exists() and not mixer._cancelled.wait(0.05):
        pass
widget.Mixer._tell = slowly
base = models.load(precision="fp32")"""


class Mixer:
    """The widget on the page."""

    def __init__(self, page: Any) -> None:
        self.page, self.root = page, page.locator(".mixer")
        self.root.scroll_into_view_if_needed()

    def press(self, button: str) -> None:
        self.root.get_by_role("button", name=button).click()

    def ask(self, question: str) -> None:
        self.root.locator("input[type=text]").fill(question)
        self.root.locator("input[type=text]").press("Tab")

    def until(self, words: str, seconds: int = 120) -> None:
        self.root.locator("[role=status]").filter(has_text=words).wait_for(timeout=1000 * seconds)

    @property
    def answers(self) -> list[str]:
        return [text.strip() for text in self.root.locator(".answer").all_text_contents()]


@pytest.fixture(scope="module")
def known(base_fp32: Any) -> dict[str, Adapter]:
    names = {"base": base_fp32, "lora": lora, "adapter_of": adapter_of, "torch": torch}
    exec(MAKE, names)  # the very code of the notebook
    made: dict[str, Adapter] = names["made"]()
    return made


def test_the_mixer_answers_mixes_and_can_be_cancelled(lab, open_lesson, base_fp32, known, screenshots):
    lab.write(
        "mixer", SETUP, MAKE + "known = made()", "widget.adapter_mixer(base, known, max_new_tokens=24)", "len(known)"
    )
    lesson = open_lesson("mixer")
    lesson.run_all()
    page = Mixer(lesson.page)

    group = lesson.page.get_by_role("group", name="adapter mixer")
    assert group.count() == 1, "a screen reader says where one is"
    for role, name in (
        ("combobox", "first adapter"),
        ("slider", "scale of first"),
        ("combobox", "second adapter"),
        ("slider", "scale of second"),
        ("textbox", "your question"),
        ("button", "Answer"),
    ):
        assert group.get_by_role(role, name=name, exact=True).count() == 1, name
    line = page.root.locator("[role=status]")
    line.evaluate("e => { e.dataset.seen = 'before'; }")
    page.root.get_by_label("your question").fill("Name a color.")
    page.root.get_by_label("your question").press("Enter")
    page.until("Done: ")
    plain = models.chat(base_fp32, "Name a color.", 24)
    with mixing.attached(base_fp32.model, known["one"]):
        one = models.chat(base_fp32, "Name a color.", 24)
    assert page.answers == [plain, one] and plain != one
    page.root.screenshot(path=screenshots / "mixer.png")

    page.root.locator("select").nth(1).select_option("two")
    slider = page.root.get_by_role("slider", name="scale of second")
    slider.focus()
    for _ in range(5):  # from 1 to 0.5
        lesson.page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "0.5"
    page.press("Answer")
    page.root.get_by_text("1 × one + 0.5 × two").wait_for()
    page.until("Done: ")
    with mixing.attached(base_fp32.model, mixing.weighted_sum([(known["one"], 1), (known["two"], 0.5)])):
        both = models.chat(base_fp32, "Name a color.", 24)
    assert page.answers == [plain, both]

    (hold := lab.notebooks / "hold").touch()
    page.ask("Tell me a long story about a lighthouse.")
    page.press("Answer")
    page.until("Writing")
    page.press("Cancel")
    page.until("Cancelled.")
    hold.unlink()
    assert page.answers[1] == ""
    page.ask("  ")
    page.press("Answer")
    page.until("Type a question first.")
    page.ask("Name a color.")
    page.press("Answer")
    page.until("Done: ")
    assert page.answers == [plain, both]
    assert line.get_attribute("data-seen") == "before", "one line all along: what changes in it is said"
    assert lesson.errors() == []

    lesson.saved()
    lab.shut_down("mixer")
    page.press("Answer")
    page.until("run this lesson's cells again", seconds=60)
    lesson.__exit__()  # and the next day
    page = Mixer(open_lesson("mixer", kernel=False).page)
    page.root.locator(".asleep").filter(has_text="Run this lesson's cells again to wake me up").wait_for()
    assert page.answers == [plain, both], "the last answers are still there"
    for role in ("combobox", "slider", "textbox", "button"):
        for control in page.root.get_by_role(role).all():
            assert control.is_disabled(), control
    page.root.screenshot(path=screenshots / "mixer_asleep.png")
