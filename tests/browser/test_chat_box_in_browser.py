"""The chat box in a real JupyterLab, by keyboard: asked, switched, stopped, and asked when no kernel is there."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

SETUP = """import torch
from transformers import LlamaConfig, LlamaForCausalLM
from lora_lessons import lora, models
from lora_lessons.course.chat_box import chat_box, turn

class Letters:
    eos_token_id = 2
    def apply_chat_template(self, messages, **_):
        return messages[-1]["content"]
    def __call__(self, text, **_):
        ids = torch.tensor([[ord(letter) % 120 + 5 for letter in text]])
        return Inputs(input_ids=ids, attention_mask=torch.ones_like(ids))
    def decode(self, tokens, **_):
        return " ".join(str(int(t)) for t in tokens)

class Inputs(dict):
    def to(self, device):
        return self

torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, vocab_size=128, pad_token_id=0, eos_token_id=2)).eval()
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
    box.field.focus()
    lesson.page.keyboard.type("bread?")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_contain_text("Done", timeout=60_000)
    question, with_adapter = box.said(1)
    assert question == "You, adapter on: bread?" and len(with_adapter.split()) == 6
    expect(box.adapter).to_be_checked()
    box.adapter.focus()
    lesson.page.keyboard.press("Space")
    expect(box.adapter).not_to_be_checked()
    box.field.focus()
    lesson.page.keyboard.press("Enter")  # the same question stands there still
    expect(box.root.locator(".turn")).to_have_count(3)
    expect(box.status).to_contain_text("Done", timeout=60_000)
    question, without = box.said(2)
    assert question == "You, adapter off: bread?" and without != with_adapter
    box.field.fill("  ")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_have_text("Type a question first.")
    expect(box.root.get_by_role("button", name="Stop")).to_be_disabled()
    box.root.screenshot(path=screenshots / "chat_box.png")
    assert lesson.errors() == []

    lab.shut_down("chat")
    box.field.fill("Is anyone there?")
    lesson.page.keyboard.press("Enter")
    expect(box.status).to_contain_text("run this lesson's cells again", timeout=20_000)
