"""The chat box in a real JupyterLab, by keyboard: asked, switched, stopped, and asked when no kernel is there."""

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

TESTS = Path(__file__).resolve().parents[1]
SETUP = f"""import sys
sys.path.insert(0, {str(TESTS)!r})
import torch
from tiny import Letters, make_tiny_model
from lora_lessons import lora, models
from lora_lessons.course.chat_box import chat_box, turn

torch.manual_seed(0)
model = make_tiny_model()
lora.attach(model, r=2, lora_alpha=4)
for _, layer in lora.lora_layers(model):
    layer.lora_B.data.normal_(0, 0.5)
box = chat_box(models.Base(model, Letters(), "tiny"), [turn("before?", False, "said before")], max_new_tokens=6)"""


class Box:
    """The widget on the page."""

    def __init__(self, page: Any) -> None:
        self.page, self.root = page, page.locator(".chat-box")
        self.root.scroll_into_view_if_needed()
        self.field = self.root.get_by_role("textbox", name="your question")
        self.adapter = self.root.get_by_role("switch", name="adapter on")
        self.status = self.root.locator("[role=status]")

    def said(self, number: int) -> tuple[str, str]:
        """The question and the answer of a turn."""
        turn = self.root.locator(".turn").nth(number)
        return turn.locator(".question").text_content(), turn.locator(".answer").text_content()


def test_the_box_is_used_by_keyboard_and_says_when_nobody_listens(lab, open_lesson, screenshots):
    lab.write("chat", SETUP, "box", "[one['adapter'] for one in box.turns]")
    lesson = open_lesson("chat")
    lesson.run_all()
    box = Box(lesson.page)
    assert box.said(0) == ("You, adapter off: before?", "said before")
    log = lesson.page.get_by_role("group", name="chat box").get_by_role("log", name="conversation")
    box.root.locator(".turn").first.evaluate("e => { e.dataset.seen = 'before'; }")
    log.evaluate(  # what it was before a change is heard as well, however soon the next one follows
        """e => new MutationObserver((all) => { e.wasBusy ||= all.some((one) => one.oldValue === 'true'); })
            .observe(e, { attributeFilter: ['aria-busy'], attributeOldValue: true })"""
    )
    box.field.focus()
    lesson.page.keyboard.type("bread?")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_contain_text("Done")
    question, with_adapter = box.said(1)
    assert question == "You, adapter on: bread?" and len(with_adapter.split()) == 6
    expect(box.adapter).to_be_checked()
    box.adapter.focus()
    lesson.page.keyboard.press("Space")
    expect(box.adapter).not_to_be_checked()
    box.field.focus()
    lesson.page.keyboard.press("Enter")  # the same question stands there still
    expect(box.root.locator(".turn")).to_have_count(3)
    expect(box.status).to_contain_text("Done")
    question, without = box.said(2)
    assert question == "You, adapter off: bread?" and without != with_adapter
    box.field.fill("  ")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_have_text("Type a question first.")
    expect(box.root.get_by_role("button", name="Stop")).to_be_disabled()
    assert box.root.locator(".turn").first.get_attribute("data-seen") == "before", "what was read is not read again"
    assert log.evaluate("e => e.wasBusy"), "a half answer is not read"
    expect(log).to_have_attribute("aria-busy", "false")
    box.root.screenshot(path=screenshots / "chat_box.png")
    assert lesson.errors() == []

    lab.shut_down("chat")
    box.field.fill("Is anyone there?")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_contain_text("run this lesson's cells again")

    lesson.__exit__()  # and the next day
    lesson = open_lesson("chat", kernel=False)
    box = Box(lesson.page)
    expect(box.root.locator(".asleep")).to_contain_text("Run this lesson's cells again to wake me up")
    assert box.said(1) == ("You, adapter on: bread?", with_adapter)
    for control in (box.field, box.adapter, box.root.get_by_role("button", name="Ask")):
        expect(control).to_be_disabled()
    box.root.screenshot(path=screenshots / "chat_box_asleep.png")
